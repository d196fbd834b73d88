"""Candidate poses of a batch of images: searched for against the maps of several species, or moved uphill."""

from collections.abc import Callable

import numpy as np

from ..data.dataset import ParticleDataset
from ..likelihood.expansion import LinearExpansion, LocalImages
from ..likelihood.linear_score import LinearScore, SliceBank
from ..likelihood.whitened import WhitenedBatch
from ..poses.hierarchical import HierarchicalSearch
from ..poses.inference import Candidates, Score
from ..poses.refine import Bounds, LocalModel, refine
from ..poses.scaled import ScaledScore
from .placement import Placement

MARGIN = 15.0
"""Log-likelihood that a species may lack on the first grid and still be refined."""
LOCAL_DEG, LOCAL_PX, LOCAL_STEPS = 2.0, 1.0, 6
"""How far a pose may be moved uphill, and in how many steps."""


class PoseCandidates:
    """Where images may lie in the maps behind `banks`, one per species.

    Parameters
    ----------
    batch, ratio : B images, and (B,) reference extent over their own.
    """

    def __init__(self, dataset: ParticleDataset, banks: list[SliceBank], batch: WhitenedBatch, ratio: np.ndarray):
        self._dataset, self._banks, self._batch, self._ratio = dataset, banks, batch, ratio
        self._extent_ang = dataset.box * dataset.pixel_size_ang

    def nearby(self, placed: Placement, index: np.ndarray, radius: float) -> list[Candidates]:
        """One candidate of each image's own species: its last pose, moved uphill. index (B,) are the images."""
        found = []
        for species, bank in enumerate(self._banks):
            rows = np.flatnonzero(placed.species[index] == species)
            if not len(rows):
                found.append(among(None, rows, (len(index), 1)))
                continue
            start = placed.rotations[index[rows]], placed.shifts_ang[index[rows]]
            model = local_model(self._dataset, bank, self._batch.at(rows), self._ratio[rows])
            last = moved_uphill(model, *start, radius, self._dataset.pixel_size_ang)
            found.append(among(last, rows, (len(index), 1)))
        return found

    def searched(self, search: HierarchicalSearch, met: np.ndarray) -> tuple[list[Candidates], np.ndarray]:
        """Species meet the first grid with their mean map, where met (B, S); only those near the best one are refined.

        Returns
        -------
        Candidates of each species, and (B, S) what it lacked of the best one's likelihood as far as the two were
        compared, ∞ where they did not meet.
        """
        parts, order = [], []
        for value in np.unique(self._ratio):
            rows = np.flatnonzero(self._ratio == value)
            parts.append(self._searched_at(search, self._batch.at(rows), float(value), met[rows]))
            order.append(rows)
        places = np.argsort(np.concatenate(order))
        found, lag = zip(*parts, strict=True)
        return [_joined(each).of(places) for each in zip(*found, strict=True)], np.concatenate(lag)[places]

    def _searched_at(self, search: HierarchicalSearch, batch: WhitenedBatch, ratio: float, met: np.ndarray):
        """As `searched`, for images of one extent."""

        def score(bank: SliceBank, images: np.ndarray) -> Score:
            plain = LinearScore(bank, batch.targets[images], batch.weights[images], self._extent_ang)
            return plain if ratio == 1 else ScaledScore(plain, ratio)

        return meet(search, self._banks, score, met)


def meet(
    search: HierarchicalSearch, banks: list[SliceBank], score: Callable[[SliceBank, np.ndarray], Score], met: np.ndarray
) -> tuple[list[Candidates], np.ndarray]:
    """Search particles against the maps of several species; see `PoseCandidates.searched`.

    Parameters
    ----------
    score : what the particles at some of the B places score against a bank.
    """
    best = np.full(met.shape, -np.inf, np.float32)
    first = []
    for species, bank in enumerate(banks):
        rows = np.flatnonzero(met[:, species])
        first.append(search.first(score(bank.mean, rows)) if len(rows) else None)
        if len(rows):
            best[rows, species] = first[-1].score[:, 0]
    lag = best.max(1, keepdims=True) - best
    found = []
    for species, bank in enumerate(banks):
        near = np.flatnonzero(lag[:, species] <= MARGIN)
        places = np.searchsorted(np.flatnonzero(met[:, species]), near)
        refined = search.refined(score(bank, near), first[species].of(places)) if len(near) else None
        found.append(among(refined, near, (len(met), search.kept)))
    last = np.stack([each.score.max(1) for each in found], axis=1)
    return found, np.where(np.isfinite(last), last.max(1, keepdims=True) - last, lag)


def local_model(dataset: ParticleDataset, bank: SliceBank, batch: WhitenedBatch, ratio: np.ndarray) -> LinearExpansion:
    """Images (B) with the mean map of a bank, as refinement sees them; ratio (B,)."""
    images = LocalImages(
        targets=batch.targets,
        weights=batch.weights,
        moved_by_ang=np.zeros((len(ratio), 2)),
        lattice=dataset.lattice,
        extent_ang=dataset.box * dataset.pixel_size_ang,
        ratio=ratio,
    )
    return LinearExpansion(bank.mean.model, images, np.ones((len(ratio), 1)))


def moved_uphill(
    model: LocalModel, rotations: np.ndarray, shifts_ang: np.ndarray, radius: float, pixel_size_ang: float
) -> Candidates:
    """One candidate of each particle: its pose, moved uphill."""
    bounds = Bounds(rotations, shifts_ang, LOCAL_DEG, LOCAL_PX * pixel_size_ang)
    climbed = refine(model, rotations, shifts_ang, [radius], LOCAL_STEPS, bounds)
    return Candidates(climbed.rotations[:, None], climbed.shifts_ang[:, None], climbed.score[:, None])


def _joined(parts: tuple[Candidates, ...]) -> Candidates:
    """Candidates of several lots of images, one after the other."""
    return Candidates(*(np.concatenate(each) for each in zip(*map(_arrays, parts), strict=True)))


def among(found: Candidates | None, places: np.ndarray, shape: tuple[int, int]) -> Candidates:
    """(B, P) candidates: those found for the images at `places`; the others have none (score −∞)."""
    rotations, shifts = np.zeros((*shape, 3, 3), np.float32), np.zeros((*shape, 2), np.float32)
    score = np.full(shape, -np.inf, np.float32)
    if found is not None:
        rotations[places], shifts[places], score[places] = _arrays(found)
    return Candidates(rotations, shifts, score)


def _arrays(found: Candidates) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return found.rotations, found.shifts_ang, found.score
