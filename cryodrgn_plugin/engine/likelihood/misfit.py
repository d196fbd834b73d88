"""How far images are from what the maps say at the poses found, beyond their noise, Fourier shell by shell.

The error of a map is noise to whoever compares images with it: counted as none, it makes one pose of noise-free images
look a thousand times likelier than the next. RELION estimates its noise from such residuals for the same reason
(Scheres 2012).
"""

import numpy as np

from ..imaging.lattice import HalfPlane
from ..slicing import cpu
from ..slicing.operator import kernel_geometry
from .linear_model import LinearModel
from .whitened import WhitenedBatch


class Misfit:
    """Sums of squared residuals over images, in units of the noise variance."""

    def __init__(self, lattice: HalfPlane) -> None:
        self._lattice = lattice
        self._sums = np.zeros((2, int(lattice.shells.max()) + 1))

    def add(self, model: LinearModel, batch: WhitenedBatch, rotations: np.ndarray, moves: np.ndarray) -> None:
        """Images at poses: rotations (B, 3, 3) as the kernel takes them, and moves (B, 2), shifts in boxes."""
        indices, shells = self._lattice.indices, self._lattice.shells
        slices = np.empty(batch.targets.shape, np.complex64)
        known, turned = np.ones((len(slices), 1), np.float32), np.ascontiguousarray(rotations, np.float32)
        geometry = kernel_geometry(model.sphere)
        cpu.project_weighted(model.coefs, known, turned, indices.astype(np.float32), *geometry, slices)
        slices *= np.exp(-2j * np.pi * moves @ indices.T)
        seen = batch.weights > 0
        # ½ w |t/w − u|²: of noise alone 1 on average, as m |y|² / σ² is 2.
        residual = np.abs(batch.targets - batch.weights * slices) ** 2 / np.where(seen, 2 * batch.weights, np.inf)
        self._sums += [np.bincount(shells, values.sum(0), self._sums.shape[1]) for values in (residual, seen)]

    def factor(self) -> np.ndarray:
        """(shells,). What the noise variance must be multiplied by to hold the residuals; at least 1."""
        return np.maximum(self._sums[0] / np.maximum(self._sums[1], 1), 1)


def with_misfit(batch: WhitenedBatch, factor: np.ndarray, lattice: HalfPlane) -> WhitenedBatch:
    """The images as if their noise variance were `factor` (shells,) times as large."""
    less = (1 / factor)[lattice.shells[: batch.targets.shape[1]]].astype(np.float32)
    return WhitenedBatch(batch.index, batch.targets * less, batch.weights * less, batch.rotations)
