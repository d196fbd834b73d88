"""The images of a tilt pair or a tilt series together: they show one particle in one state, so a validation places,
counts and shuffles particles. Where every image is a particle nothing changes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..analysis.run_particles import RunParticles
from ..data.copies import joined, numbered, repeated
from ..io.chosen_rows import particle_of_image


@dataclass(frozen=True)
class TiedImages:
    """Which particle each of N images shows."""

    particle: np.ndarray
    """(N,) int64 from 0, as they come."""
    shown: np.ndarray
    """(N,) int64. Equal for images of one particle and of copies of it: one observation."""

    @classmethod
    def of(cls, particles: RunParticles, copies: np.ndarray) -> "TiedImages":
        """Of a run's particles, of which `copies` (N,) gives copies of an image one number."""
        particle = numbered(particle_of_image(particles.table)[particles.lines])
        return cls(particle, joined(particle, copies) if repeated(copies).any() else particle)

    @property
    def count(self) -> int:
        """Particles."""
        return int(self.particle.max(initial=-1)) + 1

    @property
    def once(self) -> np.ndarray:
        """(N,) bool. One image of each observation: the first."""
        return ~repeated(self.shown)

    def totals(self, values: np.ndarray) -> np.ndarray:
        """(N, …), at each image the sum of `values` (N, …) over the images of its particle."""
        if self.count == len(self.particle):
            return values
        sums = np.zeros((self.count, *values.shape[1:]), np.float64)
        np.add.at(sums, self.particle, values)
        return sums[self.particle]

    def of_particles(self, quantities: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Quantities of images, (N,) names or numbers or (N, C) numbers, as those of their particles: numbers averaged
        over its images. Names that differ among the images of a particle, such as those of tilts, are left out."""
        if self.count == len(self.particle):
            return dict(quantities)
        images = np.bincount(self.particle)[self.particle].astype(np.float64)
        kept = {}
        for name, values in quantities.items():
            if values.dtype.kind not in "OUS":
                kept[name] = (self.totals(values.astype(np.float64)).T / images).T
            elif (values == values[_first(self.particle)][self.particle]).all():
                kept[name] = values
        return kept


def _first(particle: np.ndarray) -> np.ndarray:
    """(P,) the first image of each particle."""
    return np.flatnonzero(~repeated(particle))
