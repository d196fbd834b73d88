"""Candidate poses of particles, one after the other for several species: searched for, or moved uphill.

The particles that share a score have V ≥ 1 images each, seen after the same tilts (`data.tilt_series`); one pose
explains all of them.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..data.dataset import ParticleDataset
from ..likelihood.expansion import LinearExpansion, LocalImages
from ..likelihood.linear_score import LinearScore, SliceBank
from ..likelihood.whitened import WhitenedBatch
from ..poses.hierarchical import HierarchicalSearch
from ..poses.inference import Candidates, Score
from ..poses.refine import Bounds, refine
from ..poses.scaled import ScaledScore
from ..poses.series_score import TiltSeriesExpansion, TiltSeriesScore, tilted

MARGIN = 15.0
"""Log-likelihood that a species may lack on the first grid and still be refined."""
LOCAL_DEG, LOCAL_PX, LOCAL_STEPS = 2.0, 1.0, 6
"""How far a pose may be moved uphill, and in how many steps."""
LEAST_WEIGHT = 0.02
"""Candidates of less than this share of the best one's weight are left out."""


class Scored(Protocol):
    """Particles that can be compared with maps."""

    def score(self, bank: SliceBank, particles: Tensor) -> Score:
        """What those of the particles (n,) score against a bank."""


@dataclass(frozen=True)
class Views:
    """B particles, each with V images seen after the same tilts."""

    dataset: ParticleDataset
    """Without poses."""
    images: list[WhitenedBatch]
    """V of B images."""
    tilts: Tensor
    """(V, 3, 3) T."""
    carries: Tensor
    """(V, 2, 2) C."""

    @property
    def ratio(self) -> float:
        """Reference extent over that of the images, which all have the same."""
        return float(self.dataset.frequency_ratio[self.images[0].index[0]])

    @property
    def reference(self) -> int:
        """The view that is tilted least."""
        return int((self.tilts - torch.eye(3).to(self.tilts)).square().sum((1, 2)).argmin())

    @property
    def _single(self) -> bool:
        """Whether each particle is one image, which is not tilted."""
        return len(self.images) == 1 and torch.equal(self.tilts[0], torch.eye(3).to(self.tilts))

    def at(self, particles: np.ndarray) -> "Views":
        """Some of the particles."""
        return Views(self.dataset, [batch.at(particles) for batch in self.images], self.tilts, self.carries)

    def score(self, bank: SliceBank, particles: Tensor) -> Score:
        """The sum over the images of what each scores."""
        extent_ang = self.dataset.box * self.dataset.pixel_size_ang
        scores = (
            LinearScore(bank, batch.targets[particles], batch.weights[particles], extent_ang) for batch in self.images
        )
        scaled = [score if self.ratio == 1 else ScaledScore(score, self.ratio) for score in scores]
        if self._single:
            return scaled[0]
        return TiltSeriesScore(scaled, self.tilts, self.carries)

    def in_image(self, view: int, candidates: Candidates) -> Candidates:
        """Candidates in the reference view, as those of image `view`."""
        if self._single:
            return candidates
        poses = tilted(candidates.rotations, candidates.shifts_ang, self.tilts[view], self.carries[view])
        return Candidates(*poses, candidates.score)

    def uphill(self, bank: SliceBank, rotations: Tensor, shifts_ang: Tensor, radius: float) -> Candidates:
        """One candidate of each particle: its pose in the reference view, moved uphill against the bank's mean map."""
        model, whole = bank.mean.model, self.images[0].weights.new_ones(len(rotations), 1)
        models = [LinearExpansion(model, LocalImages.of(self.dataset, batch), whole) for batch in self.images]
        expansion = TiltSeriesExpansion(models, self.tilts, self.carries)
        bounds = Bounds(rotations, shifts_ang, LOCAL_DEG, LOCAL_PX * self.dataset.pixel_size_ang)
        climbed = refine(expansion, rotations, shifts_ang, [radius], LOCAL_STEPS, bounds)
        columns = (climbed.rotations, climbed.shifts_ang, climbed.score)
        return Candidates(*(values[:, None].float() for values in columns))


def searched(
    search: HierarchicalSearch, banks: list[SliceBank], particles: Scored, met: Tensor, offsets: Tensor | None = None
) -> tuple[list[Candidates], Tensor]:
    """Species meet the first grid with their mean map, where met (B, S); only those near the best one, after
    `offsets` (S,) were added, are refined.

    Returns
    -------
    Candidates of each species, and (B, S) what it lacked of the best one's likelihood as far as the two were compared,
    ∞ where they did not meet.
    """
    best, first = torch.full(met.shape, -torch.inf, device=met.device), []
    for species, bank in enumerate(banks):
        rows = torch.nonzero(met[:, species])[:, 0]
        first.append(search.first(particles.score(bank.mean, rows)) if len(rows) else None)
        if len(rows):
            best[rows, species] = first[-1].score[:, 0].to(best.dtype)
    lag, offered = best.amax(1, keepdim=True) - best, best if offsets is None else best + offsets
    close = offered.amax(1, keepdim=True) - offered <= MARGIN
    candidates = []
    for species, bank in enumerate(banks):
        near = torch.nonzero(close[:, species])[:, 0]
        # `first` has a row for every particle that met the species; those near are among them.
        rows = torch.searchsorted(torch.nonzero(met[:, species])[:, 0], near)
        refined = search.refined(particles.score(bank, near), first[species].of(rows)) if len(near) else None
        candidates.append(among(refined, near, (len(met), search.kept)))
    last = torch.stack([own.score.amax(1) for own in candidates], dim=1)
    return candidates, torch.where(last.isfinite(), last.amax(1, keepdim=True) - last, lag)


def among(some: Candidates | None, particles: Tensor, shape: tuple[int, int]) -> Candidates:
    """(B, P) candidates: `some` are those of these particles; the others have none (score −∞)."""
    device = particles.device
    rotations, shifts_ang = torch.zeros(*shape, 3, 3, device=device), torch.zeros(*shape, 2, device=device)
    score = torch.full(shape, -torch.inf, device=device)
    if some is not None:
        rotations[particles], shifts_ang[particles] = some.rotations.to(rotations), some.shifts_ang.to(shifts_ang)
        score[particles] = some.score.to(score)
    return Candidates(rotations, shifts_ang, score)


def tempered(score: Tensor, temperature: float) -> Tensor:
    """(B, P) float64 weights that sum to one, in proportion to exp(temperature · score)."""
    weights = (temperature * (score - score.amax(1, keepdim=True)).double()).exp()
    weights = weights.where(weights >= LEAST_WEIGHT, 0)  # the best one's is 1 here
    return weights / weights.sum(1, keepdim=True)
