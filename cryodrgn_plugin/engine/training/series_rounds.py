"""Rounds over poses for particles with several images each: one pose, and one half-set, for all images of a particle.

The score of a pose is the sum over the particle's images after their known tilts; everything else is as for single
images (`pose_rounds`). Against bases the amplitudes are integrated out image by image.
"""

from collections.abc import Iterator

import numpy as np

from ..config import PoseConfig
from ..data.dataset import ParticleDataset
from ..data.tilt_series import TiltSeries
from ..geometry.rotations import random_matrices
from ..imaging.noise import NoiseModel
from ..poses.base import Candidates, Score
from ..poses.hierarchical import HierarchicalSearch
from ..poses.scaled import ScaledScore
from ..poses.tilt_series import TiltSeriesExpansion, TiltSeriesScore, tilted
from .misfit import Misfit, with_misfit
from .pose_candidates import local_model, moved_uphill
from .pose_rounds import PoseRounds, Visit, drawn, tempered
from .pose_score import LinearScore, SliceBank
from .pose_stages import Round
from .pose_state import Maps
from .whitened import WhitenedBatch, WhitenedImages


class SeriesRounds(PoseRounds):
    """Expectation maximisation over the poses of one kind of molecule, whose particles are `series`."""

    def __init__(
        self,
        dataset: ParticleDataset,
        noise: NoiseModel,
        poses: PoseConfig,
        padding: float,
        seed: int,
        series: TiltSeries,
    ):
        super().__init__(dataset, noise, poses, padding, seed)
        self._series, self._whitened = series, WhitenedImages(dataset, noise)
        self._half_of_particle = np.random.default_rng([seed, 1]).permutation(series.n) % 2
        self.half = series.to_images(self._half_of_particle)

    def visits(
        self, maps: Maps, plan: Round, rng: np.random.Generator, misfit: Misfit | None = None
    ) -> Iterator[Visit]:
        """As of single images; a batch is what some particles show at one of their tilts."""
        search = self._search(plan, random_matrices(1, rng)[0])
        chosen = drawn(self._series.n, int(np.ceil(plan.images / self._series.counts.mean())), rng)
        banks = [SliceBank(half[0], self.dataset.lattice) for half in maps.models]
        for part in range(1 + plan.crossed):
            particles = chosen[self._half_of_particle[chosen] == part] if plan.crossed else chosen
            against = banks[1 - part] if plan.crossed and len(banks) == 2 else banks[0]
            for places in self._series.alike(particles, self.dataset.frequency_ratio, search.images_at_once()):
                rows, tilts, carries = self._series.views(particles[places])
                batches = [self._whitened.of(each, self.dataset.lattice.size) for each in rows.T]
                known = [self._known(batch, maps, plan) for batch in batches]
                if plan.local:
                    found = self._nearby(against, known, rows, tilts, carries, plan.radius)
                else:
                    found = self._searched(search, against, known, tilts, carries)
                score, weights = found.score / len(batches), tempered(found.score, plan.temperature)
                for view, batch in enumerate(batches):
                    poses = tilted(found.rotations, found.shifts_ang, tilts[view], carries[view])
                    seen, ratio = [Candidates(*poses, score)], self.dataset.frequency_ratio[batch.index]
                    self._place(batch.index, seen, score)
                    if misfit:
                        self._add_misfit(misfit, [against], batch, batch.index, ratio)
                    yield Visit(part, known[view], seen, score, weights, ratio)

    def _searched(
        self,
        search: HierarchicalSearch,
        bank: SliceBank,
        images: list[WhitenedBatch],
        tilts: np.ndarray,
        carries: np.ndarray,
    ) -> Candidates:
        """The first grid meets the mean map, what is refined all of the model."""

        def joint(model: SliceBank) -> Score:
            return TiltSeriesScore([self._score(model, each) for each in images], tilts, carries)

        return search.refined(joint(bank), search.first(joint(bank.mean)))

    def _nearby(
        self,
        bank: SliceBank,
        images: list[WhitenedBatch],
        rows: np.ndarray,
        tilts: np.ndarray,
        carries: np.ndarray,
        radius: float,
    ) -> Candidates:
        """The last poses, moved uphill."""
        ratio = self.dataset.frequency_ratio
        models = [local_model(self.dataset, bank, each, ratio[each.index]) for each in images]
        reference = np.square(tilts - np.eye(3)).sum((1, 2)).argmin()
        last = self.placement.rotations[rows[:, reference]], self.placement.shifts_ang[rows[:, reference]]
        expansion = TiltSeriesExpansion(models, tilts, carries)
        return moved_uphill(expansion, *last, radius, self.dataset.pixel_size_ang)

    def _score(self, bank: SliceBank, images: WhitenedBatch) -> Score:
        plain = LinearScore(bank, images.targets, images.weights, self._extent_ang)
        ratio = float(self.dataset.frequency_ratio[images.index[0]])
        return plain if ratio == 1 else ScaledScore(plain, ratio)

    def _known(self, batch: WhitenedBatch, maps: Maps, plan: Round) -> WhitenedBatch:
        rough = plan.crossed and maps.misfit is not None
        return with_misfit(batch, maps.misfit, self.dataset.lattice) if rough else batch
