"""Rounds of expectation maximisation over poses: search every image against the maps, then solve the maps anew.

An image counts for its likely poses in proportion to their likelihood, tempered at first so that a wrong start is
forgotten; several species of molecule are several sets of candidates. From `crossed` rounds on every image is placed
against the half-set map that it is not part of, so that its own noise cannot hold it where it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..config import AbInitioConfig, PoseConfig
from ..data.dataset import ParticleDataset
from ..geometry.rotations import random_matrices
from ..imaging.noise import NoiseModel
from ..poses.base import Candidates, Score
from ..poses.hierarchical import HierarchicalSearch, SearchLevels
from ..poses.scaled import ScaledScore
from ..reconstruction.masks import mask_from_map
from .linear_model import LinearModel, fit_volumes, soft_ball, sphere_at
from .pose_score import LinearScore, SliceBank
from .voxel_solve import EquationSums
from .whitened import WhitenedBatch, WhitenedImages

LEAST_WEIGHT = 0.02
"""Candidates of less than this share of the best one's weight are left out."""
MARGIN = 15.0
"""Log-likelihood that a species may lack on the first grid and still be refined."""
SORTING = 6
"""Rounds in which species are sorted."""
SORTING_RADIUS, SORTED_IMAGES = 12, 600
"""Frequency limit of sorting, and the images per species."""
STEPS_PER_WAVE = 2.5
"""Shifts tried per wavelength at the frequency limit of the first grid."""
FIRST_GRID_RADIUS = 10
"""Frequency limit of the first grid in rounds that refine."""


@dataclass(frozen=True)
class Round:
    """How one round is done."""

    radius: int
    """Frequency limit of the poses, in 1/(box · pixel)."""
    images: int
    """Images used, drawn at random."""
    temperature: float
    """Log-likelihoods are multiplied by it before they become weights; below 1 poses are held loosely."""
    kept: int
    """Candidates per image and species."""
    levels: int = 0
    """How often the best candidates are refined."""
    crossed: bool = False
    """Whether half-sets check each other."""
    masked: bool = False
    """Whether the maps are confined to the molecule."""
    merges: bool = False
    """Whether species that are one molecule become one after it."""


@dataclass(frozen=True)
class Stages:
    """The rounds of an ab initio reconstruction."""

    settling: list[Round]
    """Loose and coarse, on few images, from random maps."""
    sorting: list[Round]
    """Species tell themselves apart; none where there is one."""
    refining: list[Round]
    """All images, ever finer."""

    @classmethod
    def of(cls, config: AbInitioConfig, poses: PoseConfig, box: int, n: int) -> "Stages":
        last = min(poses.last_radius, box // 2 - 1)
        low, middle = min(5, last), min(8, last)
        species = config.species or config.most_species
        settling = [
            Round(
                radius=int(round(low + (middle - low) * t)),
                images=min(n, config.images_per_round * species),
                temperature=0.15 + 0.65 * t,
                kept=4 * poses.kept,
            )
            for t in np.linspace(0, 1, config.rounds)
        ]
        count = min(n, SORTED_IMAGES * species)
        sort = Round(min(SORTING_RADIUS, last), count, 1.0, poses.kept, 1, crossed=True)
        sorting = [
            replace(sort, merges=not config.species and step in (SORTING // 2, SORTING - 1)) for step in range(SORTING)
        ]
        radii = np.rint(np.linspace(min(12, last), last, config.refinements)).astype(int)
        levels = np.ceil(np.linspace(1, poses.levels, config.refinements)).astype(int)
        refining = [
            Round(int(radius), n, 1.0, poses.kept, int(level), crossed=True, masked=step > 0)
            for step, (radius, level) in enumerate(zip(radii, levels, strict=True))
        ]
        return cls(settling, [] if species == 1 else sorting, refining)


@dataclass
class Placement:
    """Where the images were placed last, species included; physical poses, as `ParticleDataset.with_poses` takes."""

    rotations: np.ndarray
    """(N, 3, 3) float32."""
    shifts_ang: np.ndarray
    """(N, 2) float32."""
    species: np.ndarray
    """(N,) int64."""
    score: np.ndarray
    """(N,) float32. Log-likelihood over that of an image of nothing; NaN where never placed."""

    @classmethod
    def unknown(cls, n: int) -> "Placement":
        rotations = np.broadcast_to(np.eye(3, dtype=np.float32), (n, 3, 3)).copy()
        return cls(rotations, np.zeros((n, 2), np.float32), np.zeros(n, np.int64), np.full(n, np.nan, np.float32))


@dataclass(frozen=True)
class Maps:
    """What is known of the molecules: `models[half][species]`, one half or two, and the species' `populations`."""

    models: list[list[LinearModel]]
    populations: np.ndarray

    @property
    def n_species(self) -> int:
        return len(self.populations)

    def without_empty(self, least: float) -> "Maps":
        """The same without species whose share of the images is below `least`; one always stays."""
        maps = self
        for species in range(self.n_species - 1, -1, -1):
            if maps.n_species > 1 and self.populations[species] < least:
                maps = maps.without(species)
        return maps

    def without(self, species: int) -> "Maps":
        """The same with one species less."""
        models = [[model for number, model in enumerate(half) if number != species] for half in self.models]
        populations = np.delete(self.populations, species)
        return Maps(models, populations / populations.sum())


class PoseRounds:
    """Expectation maximisation over the poses of a dataset without poses."""

    def __init__(self, dataset: ParticleDataset, noise: NoiseModel, poses: PoseConfig, padding: float, seed: int):
        self.dataset, self._noise, self._poses, self._padding = dataset, noise, poses, padding
        self.placement = Placement.unknown(dataset.n)
        self.half = np.random.default_rng([seed, 1]).permutation(dataset.n) % 2
        self._extent_ang = dataset.box * dataset.pixel_size_ang

    def start(self, n_species: int, radius: int, images: int, rng: np.random.Generator) -> Maps:
        """Maps of random images in random orientations: a blob each, no two alike."""
        sphere, count = sphere_at(self.dataset.box, self._padding, radius), self.dataset.lattice.count(radius)
        models = []
        for _ in range(n_species):
            sums = _Sums(sphere, self.dataset)
            chosen = np.sort(rng.choice(self.dataset.n, min(images, self.dataset.n), replace=False))
            for batch in self._images(chosen, 256).passes(count):
                turned = random_matrices(len(batch.index), rng).astype(np.float32)[:, None]
                still = np.zeros((len(batch.index), 1, 2), np.float32)
                ratio = self.dataset.frequency_ratio[chosen[batch.index]]
                sums.add(batch, turned, still, np.ones((len(batch.index), 1)), ratio)
            models.append(sums.map())
        return Maps([models], np.full(n_species, 1 / n_species))

    def advance(self, maps: Maps, plan: Round, rng: np.random.Generator) -> tuple[Maps, float]:
        """One round. Places the images it uses; gives the new maps and the mean score of these images."""
        count = self.dataset.lattice.count(self._solved(plan))
        sphere = sphere_at(self.dataset.box, self._padding, self._solved(plan))
        sums = [[_Sums(sphere, self.dataset) for _ in maps.populations] for _ in range(1 + plan.crossed)]
        shares, total = np.zeros(maps.n_species), [0.0, 0]
        for visit in self._visits(maps, plan, rng):
            total = [total[0] + float(visit.score.max(1).sum()), total[1] + len(visit.score)]
            shares += visit.weights.reshape(len(visit.score), maps.n_species, -1).sum((0, 2))
            batch, each_weights = visit.batch.leading(count), np.split(visit.weights, maps.n_species, axis=1)
            for each, found, weights in zip(sums[visit.part], visit.found, each_weights, strict=True):
                each.add(batch, found.rotations, found.shifts_ang, weights, visit.ratio)
        return Maps(self._solve(sums, plan), shares / shares.sum()), total[0] / total[1]

    def place(self, maps: Maps, plan: Round, rng: np.random.Generator) -> float:
        """Place the images of a round and leave the maps as they are; the mean score."""
        scores = [visit.score.max(1) for visit in self._visits(maps, plan, rng)]
        return float(np.concatenate(scores).mean())

    def _visits(self, maps: Maps, plan: Round, rng: np.random.Generator) -> "Iterator[_Visit]":
        """Search the images of a round, a batch at a time, each against the maps of the half-set it is not in."""
        search = self._search(plan, random_matrices(1, rng)[0])
        chosen = np.sort(rng.choice(self.dataset.n, min(plan.images, self.dataset.n), replace=False))
        banks = [[SliceBank(model, self.dataset.lattice) for model in half] for half in maps.models]
        prior = np.repeat(np.log(np.maximum(maps.populations, 1e-6)), plan.kept)
        for part in range(1 + plan.crossed):
            rows = chosen[self.half[chosen] == part] if plan.crossed else chosen
            against = banks[1 - part] if plan.crossed and len(banks) == 2 else banks[0]
            for batch in self._images(rows, min(search.images_at_once(), 256)).passes(self.dataset.lattice.size):
                index = rows[batch.index]
                ratio = self.dataset.frequency_ratio[index]
                found = self._candidates(search, against, batch, ratio)
                score = np.concatenate([each.score for each in found], axis=1) + prior
                self._place(index, found, score)
                yield _Visit(part, batch, found, score, tempered(score, plan.temperature), ratio)

    def _candidates(
        self, search: HierarchicalSearch, banks: list[SliceBank], batch: WhitenedBatch, ratio: np.ndarray
    ) -> list[Candidates]:
        """Candidates of each species; images of one extent at a time."""
        parts, order = [], []
        for value in np.unique(ratio):
            rows = np.flatnonzero(ratio == value)
            parts.append(self._candidates_at(search, banks, batch.targets[rows], batch.weights[rows], float(value)))
            order.append(rows)
        places = np.argsort(np.concatenate(order))
        return [_joined(each).of(places) for each in zip(*parts, strict=True)]

    def _candidates_at(self, search, banks, targets, weights, ratio: float) -> list[Candidates]:
        """Every species meets the first grid with its mean map; only those near the best one there are refined."""

        def score(bank: SliceBank, images) -> Score:
            plain = LinearScore(bank, targets[images], weights[images], self._extent_ang)
            return plain if ratio == 1 else ScaledScore(plain, ratio)

        every = np.arange(len(targets))
        first = [search.first(score(bank.mean, every)) for bank in banks]
        best = np.stack([each.score[:, 0] for each in first])
        found = []
        for bank, each, own in zip(banks, first, best, strict=True):
            near = np.flatnonzero(own >= best.max(0) - MARGIN)
            refined = search.refined(score(bank, near), each.of(near)) if len(near) else None
            found.append(_among(refined, near, each.score.shape))
        return found

    def _place(self, index: np.ndarray, found: list[Candidates], score: np.ndarray) -> None:
        best = score.argmax(1)
        species, place = np.divmod(best, found[0].score.shape[1])
        each = np.arange(len(index))
        self.placement.rotations[index] = np.stack([f.rotations for f in found])[species, each, place]
        self.placement.shifts_ang[index] = np.stack([f.shifts_ang for f in found])[species, each, place]
        self.placement.species[index] = species
        self.placement.score[index] = score[each, best]

    def _solve(self, sums: "list[list[_Sums]]", plan: Round) -> list[list[LinearModel]]:
        if not plan.crossed:
            return [[each.map() for each in sums[0]]]
        pairs = [_Sums.maps(*both, masked=plan.masked) for both in zip(*sums, strict=True)]
        return [[pair[half] for pair in pairs] for half in range(2)]

    def _search(self, plan: Round, turn: np.ndarray) -> HierarchicalSearch:
        first = min(FIRST_GRID_RADIUS, plan.radius) if plan.levels else plan.radius
        steps = int(np.ceil(2 * self._poses.shift_extent * STEPS_PER_WAVE * first))
        poses = replace(self._poses, kept=plan.kept, shift_steps=max(1, min(steps, self._poses.shift_steps)))
        levels = SearchLevels(tuple(np.linspace(first, plan.radius, plan.levels + 1)))
        return HierarchicalSearch(poses, self.dataset.box, self.dataset.pixel_size_ang, levels, turn)

    def _solved(self, plan: Round) -> int:
        """Frequency limit of the maps: all of it in the end, when their resolution must be known."""
        return self.dataset.box // 2 - 1 if plan.masked else plan.radius

    def _images(self, rows: np.ndarray, batch_size: int) -> WhitenedImages:
        return WhitenedImages(self.dataset.subset(rows), self._noise, batch_size)


@dataclass(frozen=True)
class _Visit:
    """A batch of images of half-set `part` with their candidates: score and weights (B, S P), species by species."""

    part: int
    batch: WhitenedBatch
    found: list[Candidates]
    score: np.ndarray
    weights: np.ndarray
    ratio: np.ndarray


class _Sums:
    """The normal equations of one map, from images with several weighted poses each."""

    def __init__(self, sphere, dataset: ParticleDataset) -> None:
        self._equations, self.sphere, self._dataset = EquationSums(sphere, 1), sphere, dataset
        self._is_empty = True

    def add(self, batch: WhitenedBatch, rotations, shifts_ang, weights, ratio) -> None:
        """Images of a batch at candidates (B, P, 3, 3), (B, P, 2) that count `weights` (B, P); ratio (B,)."""
        image, place = np.nonzero(weights)
        if not len(image):
            return
        self._is_empty = False
        share = weights[image, place].astype(np.float32)[:, None]
        indices = self._dataset.lattice.indices[: batch.targets.shape[1]]
        moves = shifts_ang[image, place] * ratio[image, None] / (self._dataset.box * self._dataset.pixel_size_ang)
        back = np.exp(2j * np.pi * moves @ indices.T).astype(np.complex64)
        one = np.ones((len(image), 1))
        turned = (rotations[image, place] * ratio[image, None, None]).astype(np.float32)
        data = (batch.weights[image] * share, one[:, :, None], batch.targets[image] * back * share, one)
        self._equations.add(*data, turned, indices.astype(np.float32))

    def map(self) -> LinearModel:
        """The map of all images together."""
        return fit_volumes([self._equations.equations()], self.sphere, soft_ball(self.sphere.box))[0]

    @staticmethod
    def maps(first: "_Sums", second: "_Sums", masked: bool) -> list[LinearModel]:
        """The two half-set maps, confined to the molecule that they agree on when `masked`."""
        sphere, dataset = first.sphere, first._dataset
        ball = soft_ball(sphere.box)
        models = fit_volumes([first._equations.equations(), second._equations.equations()], sphere, ball)
        if not masked or first._is_empty or second._is_empty:
            return models
        volumes = [sphere.to_volumes(model.coefs) for model in models]
        mask = mask_from_map((volumes[0] + volumes[1])[0] / 2, dataset.pixel_size_ang) * ball
        return [LinearModel(sphere, sphere.from_volumes(volume * mask)) for volume in volumes]


def _joined(parts: tuple[Candidates, ...]) -> Candidates:
    """Candidates of several lots of images, one after the other."""
    return Candidates(*(np.concatenate(each) for each in zip(*map(_arrays, parts), strict=True)))


def _among(found: Candidates | None, places: np.ndarray, shape: tuple[int, int]) -> Candidates:
    """(B, P) candidates: those found for the images at `places`; the others have none (score −∞)."""
    rotations, shifts = np.zeros((*shape, 3, 3), np.float32), np.zeros((*shape, 2), np.float32)
    score = np.full(shape, -np.inf, np.float32)
    if found is not None:
        rotations[places], shifts[places], score[places] = _arrays(found)
    return Candidates(rotations, shifts, score)


def _arrays(found: Candidates) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return found.rotations, found.shifts_ang, found.score


def tempered(score: np.ndarray, temperature: float) -> np.ndarray:
    """(B, P) weights that sum to one, in proportion to exp(temperature · score)."""
    weights = np.exp(temperature * (score - score.max(1, keepdims=True)).astype(np.float64))
    weights[weights < LEAST_WEIGHT] = 0  # the best one's is 1 here
    return weights / weights.sum(1, keepdims=True)
