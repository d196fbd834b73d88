"""Which directions of Fourier space the views of a set reach: an image is a slice, normal to the axis it is seen along.

Directions are the 768 cells of HEALPix's third level, 7.3° apart. A cell is seen at shell s when some image's slice
passes it within one voxel, s · |n · d| ≤ 1 with n the viewing axis; so nearly all of space is seen at low frequency,
and views within an angle a of one axis leave everything within 90° − a of that axis unseen beyond.
"""

from dataclasses import dataclass
from functools import lru_cache

import healpix
import numpy as np

CELL_LEVEL, AXIS_LEVEL = 8, 32
"""HEALPix's nside of the cells, and of the cells that viewing axes are counted in, 1.8° apart."""
WIDTH_VOXELS = 1.0
"""Distance from a slice up to which it tells of a coefficient."""
UNSEEN_DEG = 4.0
"""A direction further than this from every slice is unseen."""
NOTABLE = 0.02
"""Share of unseen directions from which on it is said."""


@dataclass(frozen=True)
class ViewGaps:
    """`sine` (768,): of the angle between each cell and the slice that comes nearest to it."""

    sine: np.ndarray

    @property
    def unseen(self) -> float:
        """Share of the directions of Fourier space that no slice comes near."""
        return float((self.sine > np.sin(np.radians(UNSEEN_DEG))).mean())

    def seen(self, box: int, width_voxels: float = WIDTH_VOXELS) -> np.ndarray:
        """(768, D//2 + 1) bool: whether a slice passes within this distance of a cell at a shell."""
        return self.sine[:, None] * np.arange(box // 2 + 1) <= width_voxels

    @property
    def sentence(self) -> str:
        """What is missing, in words; empty where nothing is to speak of."""
        if self.unseen <= NOTABLE:
            return ""
        return (
            f"{self.unseen:.0%} of the directions of Fourier space are in no image: the maps are drawn out along them, "
            "and what differs there cannot be seen."
        )


def view_gaps(rotations: np.ndarray) -> ViewGaps:
    """The gaps between the slices of images with rotations (N, 3, 3), volume to view."""
    axes = rotations[:, 2] / np.linalg.norm(rotations[:, 2], axis=1, keepdims=True)
    counted = np.unique(healpix.vec2pix(AXIS_LEVEL, *axes.T)) if len(axes) > 12 * AXIS_LEVEL**2 else None
    if counted is not None:
        axes = np.stack(healpix.pix2vec(AXIS_LEVEL, counted), axis=1)
    return ViewGaps(np.array([np.abs(axes @ cell).min() for cell in cells()]))


@lru_cache(maxsize=1)
def cells() -> np.ndarray:
    """(768, 3) unit vectors."""
    return np.stack(healpix.pix2vec(CELL_LEVEL, np.arange(12 * CELL_LEVEL**2)), axis=1)


def by_cell(values: np.ndarray, box: int) -> np.ndarray:
    """Sums over cells and shells, (768, D//2 + 1), of `values` of the stored half of a real transform, flat or one for
    all. The other half would add the same to opposite cells."""
    cell, shell, weight = coefficients(box)
    sums = np.bincount(cell * (box + 1) + shell, np.broadcast_to(values, cell.shape) * weight, len(cells()) * (box + 1))
    return sums.reshape(len(cells()), box + 1)[:, : box // 2 + 1]


@lru_cache(maxsize=2)
def coefficients(box: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each coefficient of a real transform, flat: its cell, its shell, and how many of the whole space it is."""
    k = np.fft.fftfreq(box, 1 / box).astype(np.float32)
    z, y, x = (a.ravel() for a in np.meshgrid(k, k, np.arange(box // 2 + 1, dtype=np.float32), indexing="ij"))
    shell = np.minimum(np.rint(np.sqrt(x**2 + y**2 + z**2)), box).astype(np.int32)
    x[0] = 1  # the origin, which has no direction
    cell = healpix.vec2pix(CELL_LEVEL, x, y, z).astype(np.int32)
    return cell, shell, np.where((x == 0) | (x == box // 2), 1, 2).astype(np.float32)
