"""Rounds over poses for particles with several images each: one pose, and one half-set, for all images of a particle.

The score of a pose is the sum over the particle's images after their known tilts; everything else is as for single
images (`rounds`). Against bases the amplitudes are integrated out image by image.
"""

from collections.abc import Iterator

import numpy as np

from ..config import PoseConfig
from ..data.dataset import ParticleDataset
from ..data.tilt_series import TiltSeries
from ..geometry.rotations import random_matrices
from ..imaging.noise import NoiseModel
from ..likelihood.linear_score import LinearScore, SliceBank
from ..likelihood.misfit import Misfit, with_misfit
from ..likelihood.species_maps import Maps
from ..likelihood.whitened import WhitenedBatch, WhitenedImages
from ..poses.hierarchical import HierarchicalSearch
from ..poses.inference import Candidates, Score
from ..poses.scaled import ScaledScore
from ..poses.series_score import TiltSeriesExpansion, TiltSeriesScore, tilted
from .candidates import among, local_model, meet, moved_uphill
from .rounds import PoseRounds, Visit, drawn, tempered
from .stages import Round


class SeriesRounds(PoseRounds):
    """Expectation maximisation over the poses of a dataset whose particles are `series`."""

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
        chosen = self._chosen_particles(maps.n_species, plan, rng)
        banks = [[SliceBank(model, self.dataset.lattice) for model in half] for half in maps.models]
        prior = np.repeat(np.log(np.maximum(maps.populations, 1e-6)), plan.kept)
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
                    met = self._met(rows[:, 0], maps.n_species, plan, rng)
                    found, lag = self._searched(search, against, known, tilts, carries, met)
                    self.placement.lag[rows] = np.where(met, lag, self.placement.lag[rows[:, 0]])[:, None]
                total = np.concatenate([each.score for each in found], axis=1) + prior
                score, weights = total / len(batches), tempered(total, plan.temperature)
                for view, batch in enumerate(batches):
                    turn = tilts[view], carries[view]
                    seen = [Candidates(*tilted(each.rotations, each.shifts_ang, *turn), each.score) for each in found]
                    self._place(batch.index, seen, score)
                    if misfit:
                        self._add_misfit(misfit, against, batch, batch.index, self.dataset.frequency_ratio[batch.index])
                    yield Visit(part, known[view], seen, score, weights, self.dataset.frequency_ratio[batch.index])

    def _chosen_particles(self, n_species: int, plan: Round, rng: np.random.Generator) -> np.ndarray:
        """Particles of a round, in order: drawn from all, or as many from each species."""
        count = int(np.ceil(plan.images / self._series.counts.mean()))
        if plan.met != "own" or plan.local:
            return drawn(self._series.n, count, rng)
        species = self.placement.species[self._series.images[:, 0]]
        each = [drawn(np.flatnonzero(species == own), count // n_species, rng) for own in range(n_species)]
        return np.sort(np.concatenate(each))

    def _searched(
        self,
        search: HierarchicalSearch,
        banks: list[SliceBank],
        images: list[WhitenedBatch],
        tilts: np.ndarray,
        carries: np.ndarray,
        met: np.ndarray,
    ) -> tuple[list[Candidates], np.ndarray]:
        """As `PoseCandidates.searched`, all images of a particle together."""

        def joint(bank: SliceBank, particles: np.ndarray) -> Score:
            return TiltSeriesScore([self._score(bank, each.at(particles)) for each in images], tilts, carries)

        return meet(search, banks, joint, met)

    def _nearby(
        self,
        banks: list[SliceBank],
        images: list[WhitenedBatch],
        rows: np.ndarray,
        tilts: np.ndarray,
        carries: np.ndarray,
        radius: float,
    ) -> list[Candidates]:
        """The last poses, moved uphill, each in its own species."""
        ratio, placed = self.dataset.frequency_ratio, self.placement
        reference = rows[:, np.square(tilts - np.eye(3)).sum((1, 2)).argmin()]
        found = []
        for species, bank in enumerate(banks):
            own, last = np.flatnonzero(placed.species[reference] == species), None
            if len(own):
                parts = [each.at(own) for each in images]
                models = [local_model(self.dataset, bank, part, ratio[part.index]) for part in parts]
                start = placed.rotations[reference[own]], placed.shifts_ang[reference[own]]
                expansion = TiltSeriesExpansion(models, tilts, carries)
                last = moved_uphill(expansion, *start, radius, self.dataset.pixel_size_ang)
            found.append(among(last, own, (len(rows), 1)))
        return found

    def _score(self, bank: SliceBank, images: WhitenedBatch) -> Score:
        plain = LinearScore(bank, images.targets, images.weights, self._extent_ang)
        ratio = float(self.dataset.frequency_ratio[images.index[0]])
        return plain if ratio == 1 else ScaledScore(plain, ratio)

    def _known(self, batch: WhitenedBatch, maps: Maps, plan: Round) -> WhitenedBatch:
        rough = plan.crossed and maps.misfit is not None
        return with_misfit(batch, maps.misfit, self.dataset.lattice) if rough else batch
