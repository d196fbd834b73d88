"""What the microscope does to a projection: it moves it and multiplies its spectrum with the CTF.

y(k) = C(k) · exp(−2πi k·s) · I(k)          s: where the particle sits, in angstrom (+x right); docs/conventions.md
"""

import math

import torch
from torch import Tensor

from .lattice import HalfPlane


class ImageFormation:
    """Shift and CTF on the half-plane of a `lattice` whose pixels measure `pixel_size_ang`."""

    def __init__(self, lattice: HalfPlane, pixel_size_ang: float, device: torch.device | str = "cpu"):
        self.lattice, self.pixel_size_ang = lattice, pixel_size_ang
        self.freqs_per_ang = torch.as_tensor(lattice.indices, dtype=torch.float32, device=device) / (
            lattice.box * pixel_size_ang
        )

    def observe(self, slices: Tensor, ctf: Tensor, shifts_ang: Tensor) -> Tensor:
        """Spectra of the images of central slices.

        Parameters
        ----------
        slices : (B, P, F) complex; F may be a leading part of the lattice.
        ctf : (B, F) real.
        shifts_ang : (B, P, 2). Where the feature goes.

        Returns
        -------
        (B, P, F) complex. Differentiable in slices and shifts.
        """
        return slices * ctf[:, None] * self.phases(shifts_ang, slices.shape[-1])

    def centre(self, spectra: Tensor, shifts_ang: Tensor) -> Tensor:
        """Undo the shift of (B, F) images for each of (B, P, 2) shifts; (B, P, F)."""
        return spectra[:, None] * self.phases(-shifts_ang, spectra.shape[-1])

    def phases(self, shifts_ang: Tensor, count: int) -> Tensor:
        """exp(−2πi k·s) of (B, P, 2) shifts on the first `count` coefficients, (B, P, count) complex."""
        freqs = self.freqs_per_ang[:count].to(shifts_ang.dtype)
        angle = (-2 * math.pi) * (shifts_ang @ freqs.T)
        return torch.complex(torch.cos(angle), torch.sin(angle))
