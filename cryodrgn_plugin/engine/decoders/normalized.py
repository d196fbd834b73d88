"""A basis decoder whose coefficients are trained in units of the data's spectral amplitude.

Fourier coefficients of images span several orders of magnitude; divided by σ̄(|k|) (sparse_fourier_backpropagation eq.
5) they are near one and Adam's steps suit all of them. The wrapper multiplies slices by σ̄, so the outside sees the
data's grey scale.
"""

import numpy as np
import torch
from torch import Tensor

from ..imaging.lattice import HalfPlane
from .basis import BasisDecoder
from .decoder import Decoder


class SpectrallyNormalized(Decoder):
    """`inner` with its coefficients divided by `amplitude` (n_shells,) until `baked` multiplies them back."""

    def __init__(self, inner: BasisDecoder, amplitude: np.ndarray):
        super().__init__()
        self.inner, self.box = inner, inner.box
        self.register_buffer("amplitude", torch.as_tensor(amplitude, dtype=torch.float32))
        self._scale_coefficients(-1)

    def slices(self, z: Tensor | None, rotations: Tensor, lattice: HalfPlane, count: int) -> Tensor:
        shells = torch.as_tensor(lattice.shells[:count], device=rotations.device).long()
        return self.inner.slices(z, rotations, lattice, count) * self.amplitude[shells]

    def volume(self, z: np.ndarray | None) -> np.ndarray:
        self._scale_coefficients(+1)
        volume = self.inner.volume(z)
        self._scale_coefficients(-1)
        return volume

    def baked(self) -> BasisDecoder:
        """The inner decoder in the data's grey scale; this wrapper must not be used afterwards."""
        self._scale_coefficients(+1)
        return self.inner

    @torch.no_grad()
    def _scale_coefficients(self, power: int) -> None:
        shells = np.minimum(self.inner.sphere.shells, len(self.amplitude) - 1)
        scale = self.amplitude[torch.as_tensor(shells, device=self.amplitude.device).long()] ** power
        self.inner.coefs.mul_(scale[:, None, None])
