"""Real images of half-plane spectra in torch, for networks that look at pixels; the twin of `HalfPlane.images`."""

import numpy as np
import torch
from torch import Tensor, nn

from .lattice import HalfPlane


class RealSpace(nn.Module):
    """From spectra on a lattice to images; differentiable, on any device."""

    def __init__(self, lattice: HalfPlane):
        super().__init__()
        self.box = box = lattice.box
        # Which coefficient an entry of the real transform is read from: `lattice.size` is the 0 that `forward` appends.
        source = np.full((box, box // 2 + 1), lattice.size)
        partner = np.zeros_like(source, dtype=np.float32)
        kx, ky = lattice.indices.T
        # On these two lines the real transform holds both of a pair: the partner is read too, and conjugated.
        edge = (kx == 0) | (kx == box // 2)
        source[(-ky[edge]) % box, kx[edge]] = np.flatnonzero(edge)
        partner[(-ky[edge]) % box, kx[edge]] = 1
        source[ky % box, kx] = np.arange(lattice.size)
        partner[ky % box, kx] = 0
        row, column = np.indices(source.shape)
        to_corner = 1.0 - 2.0 * ((row + column) % 2)
        self.register_buffer("source", torch.from_numpy(source.ravel()), persistent=False)
        self.register_buffer("real_sign", torch.from_numpy(to_corner.ravel()).float(), persistent=False)
        imaginary = to_corner * (1 - 2 * partner)
        self.register_buffer("imaginary_sign", torch.from_numpy(imaginary.ravel()).float(), persistent=False)

    def forward(self, spectra: Tensor) -> Tensor:
        """(B, F) complex → (B, D, D) real `img[y, x]`, origin at D//2."""
        padded = torch.cat([spectra, spectra.new_zeros(len(spectra), 1)], dim=1)[:, self.source]
        full = torch.complex(padded.real * self.real_sign, padded.imag * self.imaginary_sign)
        return torch.fft.irfft2(full.reshape(-1, self.box, self.box // 2 + 1), s=(self.box, self.box))
