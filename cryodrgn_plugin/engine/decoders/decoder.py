"""What a decoder is: latent z → Fourier coefficients on any slice, and → a volume.

`Decoder` is what the trainer, the pose strategies' score and the analysis know. It says itself how it is trained: how
it comes to the units of the data, what its residuals are weighted with, what else it is able to do. `LinearDecoder`
adds what closed forms need: volumes that are a mean plus a weighted sum of bases (docs/conventions.md, eq. 5 to 9).
"""

from abc import ABC, abstractmethod
from enum import Enum
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from ..config import RunConfig
from ..imaging.lattice import HalfPlane
from ..slicing.sphere import HalfSphere
from .data_statistics import DataStatistics


class LossWeight(Enum):
    """What the squared residual of a Fourier coefficient is weighted with in training."""

    NOISE = "1/σ²"
    """The whitened likelihood: a coefficient counts by what the images tell of it."""
    CTF = "CTF²"
    """Every shell alike and by how much of it the CTF passes (sparse_fourier_backpropagation eq. 4 with 1 − λ ∝ σ̄²),
    for parameters that are themselves in units of the data's spectrum."""


class Decoder(nn.Module, ABC):
    """Volumes as a function of z. Volumes are white, `vol[z, y, x]`, in the grey scale of the images."""

    box: int
    loss_weight: ClassVar[LossWeight] = LossWeight.NOISE
    takes_points: ClassVar[bool] = False
    """Whether it has `slices_at(z, rotations, freqs)`, so that a step can look at a part of the coefficients."""
    stores_volumes: ClassVar[bool] = False
    """Whether `stored_volumes` gives any."""
    compute_dtype: torch.dtype = torch.float32
    """The number type of its matrix products, where it has any. Training sets it; parameters stay in float32."""

    @classmethod
    def of(cls, config: RunConfig, box: int) -> Self:
        """The untrained decoder of these settings, for images of `box` pixels. Every registered decoder has it."""
        raise NotImplementedError(f"{cls.__name__} is not made from settings.")

    @classmethod
    def require_consistent(cls, config: RunConfig) -> None:
        """Raise ConfigError for settings under which it would not be what was asked for."""

    @abstractmethod
    def prepare(self, statistics: DataStatistics) -> None:
        """Bring the untrained decoder to the units of the data: volumes of about the size that the images tell of, or
        small ones, and steps of Adam that change them by a fair share."""

    @classmethod
    def restored(cls, config: RunConfig, box: int, state: dict[str, Tensor]) -> Self:
        """The decoder of these settings that has this state."""
        decoder = cls.of(config, box)
        decoder.load_state_dict(state)
        return decoder

    def remarks(self) -> list[str]:
        """Sentences on what it takes for granted, for the user, once it is prepared."""
        return []

    def restraint(self, z: Tensor | None) -> Tensor | None:
        """(B,) what the volumes at (B, Z) cost beside their misfit, in the units of −2 log likelihood of an image;
        (1,) where z is None. None: nothing."""
        return None

    def for_training(self, statistics: DataStatistics) -> "Decoder":
        """What the trainer moves in place of this decoder: itself, or it in units in which it learns faster."""
        return self

    def after_training(self) -> "Decoder":
        """The decoder to keep, after `for_training` and the training."""
        return self

    def stored_volumes(self) -> list[nn.Parameter]:
        """Parameters that are volumes, of which a slice touches few rows."""
        return []

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
    """V_z = V⁽⁰⁾ + Σ_k s_k(z) V⁽ᵏ⁾ (sparse_fourier_backpropagation eq. 3). Untrained, s(z) is z followed by zeros."""

    @abstractmethod
    def amplitudes(self, z: Tensor) -> Tensor:
        """(B, K + 1): 1 for the mean volume, then s(z)."""

    @abstractmethod
    def basis_volumes(self) -> np.ndarray:
        """(K + 1, D, D, D) float32: the mean and the bases."""

    @abstractmethod
    def set_volumes(self, volumes: np.ndarray) -> None:
        """Take the mean and the bases from (K + 1, D, D, D) volumes."""

    def set_coefficients(self, sphere: HalfSphere, coefs: np.ndarray) -> None:
        """Take the mean and the bases from coefficients (M, 2, K + 1) on a sphere of this decoder's box."""
        self.set_volumes(sphere.to_volumes(coefs))
