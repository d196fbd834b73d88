"""Particles with several images each, whose views relative to one another are known from the stage.

One image of a particle is its reference. Seen there under A and shifted by s, the particle is seen in image v under
T_v A and shifted by C_v s. Only the stage is needed to know T and C, no pose.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .batch import ImageBatch
from .dataset import ParticleDataset

NONE = -1
"""In place of an image where a particle has fewer than others."""


@dataclass(frozen=True)
class TiltSeries:
    """P particles with up to V images each, as places in a dataset of N images."""

    images: np.ndarray
    """(P, V) int. `NONE` fills up rows."""
    kind: np.ndarray
    """(P,) int. Particles of one kind have been tilted alike, and their images stand in the same order."""
    tilts: np.ndarray
    """(K, V, 3, 3) T of each kind."""
    carries: np.ndarray
    """(K, V, 2, 2) C of each kind."""

    @classmethod
    def singles(cls, n: int) -> "TiltSeries":
        """Particles of one image each."""
        return cls(np.arange(n)[:, None], np.zeros(n, np.int64), np.eye(3)[None, None], np.eye(2)[None, None])

    @property
    def n(self) -> int:
        return len(self.images)

    @property
    def most_images(self) -> int:
        """V, the images of a particle that has most."""
        return self.images.shape[1]

    @cached_property
    def counts(self) -> np.ndarray:
        """(P,) images of each particle."""
        return (self.images != NONE).sum(1)

    @cached_property
    def particle(self) -> np.ndarray:
        """(N,) int. Whose image each is."""
        owner = np.empty(self.counts.sum(), np.int64)
        owner[self.flat(np.arange(self.n))] = np.repeat(np.arange(self.n), self.counts)
        return owner

    def views(self, particles: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Images (B, V), tilts (V, 3, 3) and carries (V, 2, 2) of particles (B,) of one kind."""
        count, kind = self.counts[particles[0]], self.kind[particles[0]]
        return self.images[particles, :count], self.tilts[kind, :count], self.carries[kind, :count]

    def sharing_a_score(
        self, particles: np.ndarray, ratio: np.ndarray, at_once: int, volume: np.ndarray | None = None
    ) -> Iterator[np.ndarray]:
        """Places among the particles (B,), at most `at_once` at a time, of those that can share a score: they are of
        one kind, their images have the same extents (`ratio` (N,) of each) and, where given, `volume` (B,) is the same.
        """
        images = self.images[particles]
        # Where a particle lacks an image its first one stands in, whose extent is among the others anyway.
        extents = ratio[np.where(images == NONE, images[:, :1], images)]
        volume = np.zeros(len(particles)) if volume is None else volume
        traits = np.column_stack([volume, self.kind[particles], extents])
        lot = np.unique(traits, axis=0, return_inverse=True)[1].ravel()
        for number in range(lot.max(initial=-1) + 1):
            members = np.flatnonzero(lot == number)
            for start in range(0, len(members), at_once):
                yield members[start : start + at_once]

    def flat(self, particles: np.ndarray) -> np.ndarray:
        """Places of all images of the particles (B,), one particle after the other."""
        images = self.images[particles].ravel()
        return images[images != NONE]

    def among(self, images: np.ndarray) -> "TiltSeries":
        """The particles whose images are `images` (M,), all of each particle, as places among those M."""
        # One entry more than images: NONE is −1 and so reads the last one, which no image fills and which stays NONE.
        slot_of_image = np.full(self.counts.sum() + 1, NONE)
        slot_of_image[images] = np.arange(len(images))
        chosen = np.flatnonzero(slot_of_image[self.images[:, 0]] != NONE)
        return replace(self, images=slot_of_image[self.images[chosen]], kind=self.kind[chosen])

    def to_images(self, values: np.ndarray) -> np.ndarray:
        """What belongs to each particle (P, …), at each of its images (N, …)."""
        return values[self.particle]


class SeriesDataset:
    """Particles with several images each, as a loader reads them: `n` particles, their images one after the other."""

    def __init__(self, dataset: ParticleDataset, series: TiltSeries) -> None:
        self._dataset, self.series = dataset, series
        self.n, self.lattice, self.cache = series.n, dataset.lattice, dataset.cache
        rank_on_disk = np.empty(dataset.n, np.int64)
        rank_on_disk[dataset.stored_order] = np.arange(dataset.n)
        self.stored_order = np.argsort(rank_on_disk[series.images[:, 0]], kind="stable")

    def batch(self, index: np.ndarray, count: int | None = None) -> ImageBatch:
        """All images of the particles `index` (B,), with their first `count` coefficients."""
        return self._dataset.batch(self.series.flat(index), count)

    def subset(self, mask: np.ndarray) -> "SeriesDataset":
        """The particles where `mask` (P,) is true, with all their images."""
        images = self.series.flat(np.flatnonzero(mask))
        return SeriesDataset(self._dataset.subset(images), self.series.among(images))

    def of_particles(self, values: np.ndarray, index: np.ndarray) -> np.ndarray:
        """What a network gave for the particles `index` (B,), or for each image of theirs, as one mean value each."""
        if len(values) == len(index):
            return values
        counts = self.series.counts[index]
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        one_per_particle = (len(counts), *[1] * (values.ndim - 1))
        return np.add.reduceat(values, starts) / counts.reshape(one_per_particle).astype(values.dtype)
