"""Tilt pairs: two images of every particle, the second after the stage was tilted by a known angle about the x axis.

In the star file both images are rows; rlnTomoParticleName says whose image a row is and rlnTomoNominalStageTiltAngle at
which angle it was taken (zhong_thesis_cryodrgn 3.7.2). A particle seen under A and shifted by s is seen under T A after
the tilt T, with the same s: the partner is to be cut out where the particle lies.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import DataError
from ..geometry.rotations import tilt_about_x
from .batch import ImageBatch
from .dataset import ParticleDataset

PARTICLE, TILT_ANGLE = "rlnTomoParticleName", "rlnTomoNominalStageTiltAngle"
_ANGLE_TOLERANCE_DEG = 0.05


@dataclass(frozen=True)
class TiltPairs:
    """P particles with two images each, as places in a dataset."""

    first: np.ndarray
    """(P,) int. The image at the smaller tilt."""
    second: np.ndarray
    """(P,) int."""
    tilt_deg: float
    """From the first image to the second, the same for all."""

    @property
    def n(self) -> int:
        return len(self.first)

    @property
    def tilt(self) -> np.ndarray:
        """(3, 3) T: the second image's rotation is T times the first's."""
        return tilt_about_x(self.tilt_deg)

    def images(self, pairs: np.ndarray) -> np.ndarray:
        """(2 B,) places of both images of the pairs (B,), partners one after the other."""
        return np.stack([self.first[pairs], self.second[pairs]], axis=1).ravel()

    def to_images(self, values: np.ndarray) -> np.ndarray:
        """What belongs to each pair (P, …), at both of its images (2 P, …)."""
        result = np.empty((2 * self.n, *values.shape[1:]), values.dtype)
        result[self.first] = result[self.second] = values
        return result


def has_tilt_pairs(dataset: ParticleDataset) -> bool:
    """Whether the star file ties its rows in pairs."""
    return {PARTICLE, TILT_ANGLE} <= set(dataset.table.frame.columns)


def find_tilt_pairs(dataset: ParticleDataset) -> TiltPairs:
    """The pairs of a dataset whose star file has them.

    Raises
    ------
    DataError : no pairs, a particle that has not exactly two images, or tilts that differ between particles.
    """
    table = dataset.table
    if not has_tilt_pairs(dataset):
        raise DataError(
            f"{table.path}: it has no tilt pairs; two rows per particle, tied by {PARTICLE}, with {TILT_ANGLE} are "
            "needed."
        )
    names = table.column(PARTICLE).to_numpy()[dataset.rows]
    angles_deg = table.numbers(TILT_ANGLE)[dataset.rows]
    name, which, counts = np.unique(names, return_inverse=True, return_counts=True)
    if (counts != 2).any():
        bad = int(np.flatnonzero(counts != 2)[0])
        raise DataError(
            f"{table.path}: {int((counts != 2).sum()):,} particles have not two images, the first is {name[bad]} with "
            f"{counts[bad]}. Remove them, and use all particles (data.max_particles 0)."
        )
    order = np.lexsort((np.abs(angles_deg), which)).reshape(-1, 2)
    order = order[np.argsort(order.min(axis=1))]
    tilts_deg = angles_deg[order[:, 1]] - angles_deg[order[:, 0]]
    if np.ptp(tilts_deg) > _ANGLE_TOLERANCE_DEG or abs(tilts_deg[0]) < _ANGLE_TOLERANCE_DEG:
        raise DataError(
            f"{table.path}: from one image of a particle to the other the stage tilts by {tilts_deg.min():g} to "
            f"{tilts_deg.max():g}° ({TILT_ANGLE}); one known tilt for all particles is needed."
        )
    return TiltPairs(order[:, 0], order[:, 1], float(tilts_deg.mean()))


class PairedDataset:
    """Particles with two images each, as a loader reads them: `n` pairs, batches with partners one after the other."""

    def __init__(self, dataset: ParticleDataset, pairs: TiltPairs) -> None:
        self._dataset, self.pairs = dataset, pairs
        self.n, self.lattice, self.cache = pairs.n, dataset.lattice, dataset.cache
        place = np.empty(dataset.n, np.int64)
        place[dataset.stored_order] = np.arange(dataset.n)
        self.stored_order = np.argsort(place[pairs.first], kind="stable")

    def batch(self, index: np.ndarray) -> ImageBatch:
        """Both images of the pairs `index` (B,), as 2 B images."""
        return self._dataset.batch(self.pairs.images(index))
