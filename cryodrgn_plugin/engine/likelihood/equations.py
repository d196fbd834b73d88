"""Normal equations for a mean and bases: the one place where images are added up.

    A_v = Σ_i Σ_f w s_i s_iᵀ,   b_v = Σ_i Σ_f t s_i

w and t are the whitened images' (`whitened`), spread to the eight neighbours by trilinear weights.
"""

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ..imaging.lattice import HalfPlane
from ..ranks import Ranks
from ..slicing.backend import Backend
from ..slicing.sphere import HalfSphere
from .equation_blocks import Blocks
from .whitened import PosedImages, WhitenedBatch, WhitenedImages

Moments = Callable[[np.ndarray], tuple[Tensor, Tensor]]
"""Image index (B,) → E[s] (B, C) and E[s sᵀ] (B, C, C), the mean volume's amplitude (1) included."""


@dataclass(frozen=True)
class NormalEquations:
    """Packed lower triangles `lhs` (M, T) and right sides `rhs` (M, 2, C), T = C(C + 1)/2, of volumes on a backend, or
    of those of its voxels that a block stores."""

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


class EquationSums:
    """Normal equations under construction."""

    def __init__(self, backend: Backend, n_channels: int, ranks: Ranks | None = None) -> None:
        self._backend, self._ranks = backend, ranks or Ranks()
        self._moving: tuple[Tensor, Tensor] | None = None
        self._lhs, self._rhs = backend.nothing(n_channels)
        self.is_empty = True

    @property
    def lattice(self) -> HalfPlane:
        """The coefficients that images have."""
        return self._backend.lattice

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
        if self._moving is None or self._moving[0] is not moving:
            self._moving = moving, self._backend.moving_here(moving)
        self._backend.accumulate_near(self._rhs, self._moving[1], *near)

    def equations(self) -> NormalEquations:
        """The equations of all that was added; nothing can be added after."""
        self._ranks.total(self._lhs, self._rhs)
        self.is_empty = not self._ranks.any(not self.is_empty)
        return NormalEquations(self._backend, *self._backend.completed(self._lhs, self._rhs))


class HalfSetEquations:
    """The normal equations of each half-set, added up when they are asked for: of the whole sphere, or of one block of
    its shells after the other where memory does not hold them all (`equation_blocks`). A shell lies in one block with
    all that its prior is made of, so volumes do not depend on how many there are but by rounding.

    Parameters
    ----------
    count : leading coefficients of the images that are used.
    half : (N,) half-set of each image; None puts all into one.
    add : adds images of one half-set to its sums. Of blocks it is called with a part of the coefficients.
    """

    def __init__(
        self,
        images: WhitenedImages,
        sphere: HalfSphere,
        count: int,
        n_channels: int,
        half: np.ndarray | None,
        add: Callable[[EquationSums, WhitenedBatch], None],
    ) -> None:
        self.sphere, self.n_channels = sphere, n_channels
        self._images, self._count, self._half, self._add = images, count, half, add
        self._kept: list[NormalEquations] = []
        self._channels: int | None = None

    def leading(self, channels: int) -> "HalfSetEquations":
        """The equations of the first channels alone, as if the others had never been there."""
        fewer = copy(self)
        fewer._channels = channels
        return fewer

    @property
    def backend(self) -> Backend:
        """Of the whole sphere."""
        return self._images.backend(self.sphere)

    def blocks(self, spent: bool = False) -> Iterator[list[NormalEquations]]:
        """One set per half-set, of one block after the other.

        Those of a whole sphere are kept for the next time unless they are `spent`; those of blocks are added up anew.
        Sets that are taken off their list are freed.
        """
        if self._kept:
            made = self._kept if spent else [*self._kept]
            self._kept = [] if spent else self._kept
            yield self._led(made)
            return
        halves, first, last = 1 if self._half is None else 2, 0, self.sphere.n_shells
        blocks = Blocks.of(self._images, self.sphere, self._count, self.n_channels, halves)
        while first < last:
            stop, made = self._images.memory.run(partial(self._added_up, blocks, first, halves))
            if first == 0 and stop == last and not spent:
                self._kept = [*made]
            first = stop
            yield self._led(made)

    def _led(self, made: list[NormalEquations]) -> list[NormalEquations]:
        return made if self._channels is None else [each.leading(self._channels) for each in made]

    def _added_up(self, blocks: Blocks, first: int, halves: int) -> tuple[int, list[NormalEquations]]:
        """The block from shell `first` on, and the shell before which it ends."""
        block = blocks.starting(first)
        sums = [EquationSums(blocks.backend(block), self.n_channels, self._images.ranks) for _ in range(halves)]
        for part, batch in self._images.by_halves(self._count, self._half, block.some):
            self._add(sums[part], batch)
        return block.stop, [of_half.equations() for of_half in sums]


@dataclass(frozen=True)
class ReadyEquations:
    """Equations of half-sets that were added up otherwise; offers what `HalfSetEquations` do."""

    sets: list[NormalEquations]

    @property
    def sphere(self) -> HalfSphere:
        return self.sets[0].sphere

    @property
    def backend(self) -> Backend:
        return self.sets[0].backend

    def blocks(self, spent: bool = False) -> Iterator[list[NormalEquations]]:
        """All of them, as one block."""
        yield [*self.sets]


def accumulate(
    images: WhitenedImages, sphere: HalfSphere, count: int, moments: Moments, half: np.ndarray | None = None
) -> HalfSetEquations:
    """The equations of one pass over the images, or of one for each block where memory does not hold all.

    Parameters
    ----------
    count : leading coefficients used; they must lie inside the sphere's radius.
    half : (N,) int, 0 or 1: which half-set each image belongs to; None puts all into one.
    """

    def add(sums: EquationSums, batch: WhitenedBatch) -> None:
        sums.add(batch, *moments(batch.index))

    return HalfSetEquations(images, sphere, count, moments(np.arange(1))[0].shape[1], half, add)


def of_amplitudes(amplitudes: Tensor) -> Moments:
    """The moments of amplitudes (N, C) that are known."""

    def moments(index: np.ndarray) -> tuple[Tensor, Tensor]:
        first = amplitudes[torch.as_tensor(index, device=amplitudes.device)]
        return first, first[:, :, None] * first[:, None, :]

    return moments


def packed(square: Tensor) -> Tensor:
    """Lower triangles of (..., C, C) by rows, (..., T)."""
    i, j = torch.tril_indices(square.shape[-1], square.shape[-1], device=square.device)
    return square[..., i, j]
