"""How far images are from what the maps say at the poses found, beyond their noise, Fourier shell by shell.

The error of a map is noise to whoever compares images with it: counted as none, it makes one pose of noise-free images
look a thousand times likelier than the next. RELION estimates its noise from such residuals for the same reason
(Scheres 2012).
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..imaging.lattice import HalfPlane
from ..ranks import Ranks
from ..slicing.compute import Compute
from ..slicing.device_tables import table
from ..slicing.place import on_host
from .linear_model import LinearModel
from .waves import phases
from .whitened import WhitenedBatch


class Misfit:
    """Sums of squared residuals over images, in units of the noise variance; of all where processes share them."""

    def __init__(self, lattice: HalfPlane, compute: Compute, ranks: Ranks | None = None) -> None:
        self._lattice, self._ranks = lattice, ranks or Ranks()
        self._sums = compute.double(torch.zeros(2, int(lattice.shells.max()) + 1))

    def add(self, model: LinearModel, batch: WhitenedBatch, rotations: Tensor, moves: Tensor) -> None:
        """Images at poses: rotations (B, 3, 3) as slices are taken, and moves (B, 2), shifts in boxes."""
        count = batch.targets.shape[1]
        amplitude, turned = batch.weights.new_ones(len(batch), 1), rotations.to(batch.weights.dtype)
        slices = model.backend.mix(model.coefs, amplitude, turned, count)
        slices = slices * phases(-moves, self._lattice, count, slices.dtype)
        measured = batch.weights > 0
        # ½ w |t/w − u|²: of noise alone 1 on average, as m |y|² / σ² is 2. Where nothing was measured, ∞ makes it 0.
        doubled = torch.where(measured, 2 * batch.weights, torch.inf)
        residual = (batch.targets - batch.weights * slices).abs() ** 2 / doubled
        shells = table(self._lattice, "shells", measured.device)[:count]
        for total, values in zip(self._sums, (residual, measured), strict=True):
            total += torch.bincount(shells, values.double().sum(0), len(total))

    def factor(self) -> np.ndarray:
        """(shells,). What the noise variance must be multiplied by to hold the residuals; at least 1."""
        sums = self._sums.clone()
        self._ranks.total(sums)
        return on_host((sums[0] / sums[1].clamp(min=1)).clamp(min=1))


def with_misfit(batch: WhitenedBatch, factor: np.ndarray, lattice: HalfPlane) -> WhitenedBatch:
    """The images as if their noise variance were `factor` (shells,) times as large."""
    shells = table(lattice, "shells", batch.weights.device)[: batch.targets.shape[1]]
    less = torch.as_tensor(1 / factor).to(batch.weights)[shells]
    return replace(batch, targets=batch.targets * less, weights=batch.weights * less)
