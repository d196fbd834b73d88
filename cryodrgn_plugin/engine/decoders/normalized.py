"""A decoder whose stored coefficients are trained in units of the data's spectral amplitude.

Fourier coefficients of images span several orders of magnitude; divided by σ̄(|k|) (sparse_fourier_backpropagation eq.
5) they are near one and Adam's steps suit all of them. The wrapper multiplies slices by σ̄, so the outside sees the
data's grey scale.
"""

from abc import abstractmethod

import numpy as np
import torch
from torch import Tensor, nn

from ..imaging.lattice import HalfPlane
from .data_statistics import DataStatistics
from .decoder import Decoder, LossWeight


class ShellScaled(Decoder):
    """A decoder whose volumes can be scaled shell by shell, in place."""

    @abstractmethod
    def scale_shells(self, factors: Tensor) -> None:
        """Multiply its volumes by `factors` (n_shells,); shells beyond take the last."""


class SpectrallyNormalized(Decoder):
    """`inner` with its coefficients divided by `amplitude` (n_shells,) until training is over."""

    loss_weight = LossWeight.CTF

    def __init__(self, inner: ShellScaled, amplitude: np.ndarray):
        super().__init__()
        self.inner, self.box = inner, inner.box
        self.register_buffer("amplitude", torch.as_tensor(amplitude, dtype=torch.float32))
        self._scale_coefficients(-1)

    def prepare(self, statistics: DataStatistics) -> None:
        """Nothing: `inner` was prepared, and is in units of the data."""

    def slices(self, z: Tensor | None, rotations: Tensor, lattice: HalfPlane, count: int) -> Tensor:
        shells = torch.as_tensor(lattice.shells[:count], device=rotations.device).long()
        return self.inner.slices(z, rotations, lattice, count) * self.amplitude[shells]

    def volume(self, z: np.ndarray | None) -> np.ndarray:
        self._scale_coefficients(+1)
        volume = self.inner.volume(z)
        self._scale_coefficients(-1)
        return volume

    def after_training(self) -> Decoder:
        """The inner decoder in the data's grey scale; this wrapper must not be used afterwards."""
        self._scale_coefficients(+1)
        return self.inner

    def stored_volumes(self) -> list[nn.Parameter]:
        return self.inner.stored_volumes()

    def _scale_coefficients(self, power: int) -> None:
        self.inner.scale_shells(self.amplitude**power)
