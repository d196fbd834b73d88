"""What a decoder is: latent z → Fourier coefficients on any slice, and → a volume.

`Decoder` is what the trainer, the pose strategies' score and the analysis know. `LinearDecoder` adds what closed forms
need: volumes that are a mean plus a weighted sum of bases (docs/conventions.md, eq. 5 to 9).
"""

from abc import abstractmethod

import numpy as np
from torch import Tensor, nn

from ..imaging.lattice import HalfPlane


class Decoder(nn.Module):
    """Volumes as a function of z. Volumes are white, `vol[z, y, x]`, in the grey scale of the images."""

    box: int

    @abstractmethod
    def slices(self, z: Tensor | None, rotations: Tensor, lattice: HalfPlane, count: int) -> Tensor:
        """Central slices.

        Parameters
        ----------
        z : (B, Z), or None for a decoder without latent.
        rotations : (B, P, 3, 3). Volume to view, P candidate poses per image.
        count : how many leading coefficients of the lattice (`lattice.count(radius)`).

        Returns
        -------
        (B, P, count) complex.
        """

    @abstractmethod
    def volume(self, z: np.ndarray | None) -> np.ndarray:
        """The volume at one z (Z,), as (D, D, D) float32."""


class LinearDecoder(Decoder):
    """V_z = V⁽⁰⁾ + Σ_k s_k(z) V⁽ᵏ⁾ (sparse_fourier_backpropagation eq. 3)."""

    @abstractmethod
    def amplitudes(self, z: Tensor) -> Tensor:
        """(B, K + 1): 1 for the mean volume, then s(z)."""

    @abstractmethod
    def basis_volumes(self) -> np.ndarray:
        """(K + 1, D, D, D) float32: the mean and the bases."""
