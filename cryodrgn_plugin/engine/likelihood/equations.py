"""Normal equations for a mean and bases: the one place where images are added up.

    A_v = Σ_i Σ_f w s_i s_iᵀ,   b_v = Σ_i Σ_f t s_i

w and t are the whitened images' (`whitened`), spread to the eight neighbours by trilinear weights.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..ranks import Ranks
from ..slicing.backend import Backend
from ..slicing.sphere import HalfSphere
from .whitened import PosedImages, WhitenedBatch, WhitenedImages

Moments = Callable[[np.ndarray], tuple[Tensor, Tensor]]
"""Image index (B,) → E[s] (B, C) and E[s sᵀ] (B, C, C), the mean volume's amplitude (1) included."""


@dataclass(frozen=True)
class NormalEquations:
    """Packed lower triangles `lhs` (M, T) and right sides `rhs` (M, 2, C), T = C(C + 1)/2, of volumes on a backend."""

    backend: Backend
    lhs: Tensor
    rhs: Tensor

    @property
    def sphere(self) -> HalfSphere:
        return self.backend.sphere

    def leading(self, channels: int) -> "NormalEquations":
        """The equations of the first channels alone, as if the others had never been there."""
        triangle = channels * (channels + 1) // 2
        return NormalEquations(
            self.backend, self.lhs[:, :triangle].contiguous(), self.rhs[:, :, :channels].contiguous()
        )


def accumulate(
    images: WhitenedImages, sphere: HalfSphere, count: int, moments: Moments, half: np.ndarray | None = None
) -> list[NormalEquations]:
    """One pass over the images.

    Parameters
    ----------
    count : leading coefficients used; they must lie inside the sphere's radius.
    half : (N,) int, 0 or 1: which half-set each image belongs to; None puts all into one.

    Returns
    -------
    One set of equations per half-set.
    """
    n_channels = moments(np.arange(1))[0].shape[1]
    sums = [EquationSums.over(images, sphere, n_channels) for _ in range(1 if half is None else 2)]
    for part, batch in images.by_halves(count, half):
        sums[part].add(batch, *moments(batch.index))
    return [of_half.equations() for of_half in sums]


def of_amplitudes(amplitudes: Tensor) -> Moments:
    """The moments of amplitudes (N, C) that are known."""

    def moments(index: np.ndarray) -> tuple[Tensor, Tensor]:
        first = amplitudes[torch.as_tensor(index, device=amplitudes.device)]
        return first, first[:, :, None] * first[:, None, :]

    return moments


class EquationSums:
    """Normal equations under construction."""

    def __init__(self, backend: Backend, n_channels: int, ranks: Ranks | None = None) -> None:
        self._backend, self._ranks = backend, ranks or Ranks()
        self._lhs, self._rhs = backend.nothing(n_channels)
        self.is_empty = True

    @classmethod
    def over(cls, images: WhitenedImages, sphere: HalfSphere, n_channels: int) -> "EquationSums":
        """Of passes over the images, by all processes that share them."""
        return cls(images.backend(sphere), n_channels, images.ranks)

    def add(self, images: PosedImages, first: Tensor, second: Tensor) -> None:
        """Add images at their rotations, with E[s] (B, C) and E[s sᵀ] (B, C, C)."""
        self.is_empty &= not len(images)
        kind = self._backend.compute.dtype
        moments, amplitudes = packed(second).to(kind), first.to(kind)
        self._backend.accumulate(
            self._lhs, self._rhs, images.weights, moments, images.targets, amplitudes, images.rotations
        )

    def take_off(self, images: WhitenedBatch, moving: Tensor, tied: Tensor) -> None:
        """Take off the right sides what errors of the poses, and of the defocus where images tell of it, add to images.

        Parameters
        ----------
        moving : (M, 2, 4) of the volume whose images move, `Backend.moving`.
        tied : (B, J, C) E[t sᵀ] of the errors and the amplitudes.
        """
        corrections = tied.to(self._backend.compute.dtype)
        near = images.weights, corrections, images.rotations, images.defocus_slopes
        self._backend.accumulate_near(self._rhs, moving, *near)

    def equations(self) -> NormalEquations:
        """The equations of all that was added; nothing can be added after."""
        self._ranks.total(self._lhs, self._rhs)
        self.is_empty = not self._ranks.any(not self.is_empty)
        return NormalEquations(self._backend, *self._backend.completed(self._lhs, self._rhs))


def packed(square: Tensor) -> Tensor:
    """Lower triangles of (..., C, C) by rows, (..., T)."""
    i, j = torch.tril_indices(square.shape[-1], square.shape[-1], device=square.device)
    return square[..., i, j]
