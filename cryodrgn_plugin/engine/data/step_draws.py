"""The random numbers of one training step: the same ones however many processes share its images."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class StepDraws:
    """Numbers in rows, one for each particle of a step or some for each, from a CPU `generator`.

    Where this process has the particles `own` of `count`, rows are drawn for all of them, and it is given its own.
    Where particles have different numbers of images, `images` are its own of all; rows may be theirs, too. Rows may
    come in `blocks`, each with those of all particles in their order.
    """

    generator: torch.Generator
    own: range = range(1)
    count: int = 1
    images: tuple[range, int] | None = None
    blocks: int = 1

    def normal(self, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
        """From the standard normal distribution; `shape` has this process's rows first."""
        return self._rows(torch.randn, shape, dtype)

    def uniform(self, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
        """From 0 to 1."""
        return self._rows(torch.rand, shape, dtype)

    def _rows(self, draw: Callable[..., Tensor], shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        own, count = self.among_all(shape[0] // self.blocks)
        whole = draw(self.blocks, count, *shape[1:], generator=self.generator, dtype=dtype)
        return whole[:, own.start : own.stop].flatten(0, 1)

    def among_all(self, rows: int) -> tuple[range, int]:
        """Which of the rows of all processes this one's `rows` are, and how many these are in all."""
        if self.images is not None and rows == len(self.images[0]):
            return self.images
        each = rows // len(self.own)
        return range(each * self.own.start, each * self.own.stop), each * self.count
