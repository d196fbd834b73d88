"""Phases that move images, the same to the last bit in any batch."""

import torch
from torch import Tensor

from ..imaging.lattice import HalfPlane
from ..slicing.device_tables import table

AT_ONCE = 32
"""Images whose phases are held in double precision at a time."""


def phases(moves: Tensor, lattice: HalfPlane, count: int, kind: torch.dtype) -> Tensor:
    """e^{2πi k·move} of (n, 2) moves in boxes, (n, F) of the complex type `kind`: what moves images back."""
    return waves(moves.double(), table(lattice, "indices", moves.device, torch.float64)[:count], kind)


def product(values: Tensor, waves: Tensor) -> Tensor:
    """Of complex (n, F), written out: torch rounds complex products at the end of a tensor otherwise than within it,
    and an image is the same in any batch."""
    real = values.real * waves.real - values.imag * waves.imag
    return torch.complex(real, values.real * waves.imag + values.imag * waves.real)


def waves(moves: Tensor, freqs: Tensor, kind: torch.dtype) -> Tensor:
    """e^{2πi k·move}, (n, F), of moves (n, 2) at frequencies (F, 2), both double: phases are sums of many turns.

    The products are written out: the last bit of a matrix product depends on how many images there are.
    """
    if kind == torch.complex64 and moves.device.type == "cpu":
        from ..slicing import numba_folding

        return numba_folding.waves(moves, freqs)
    waves = torch.empty(len(moves), len(freqs), dtype=kind, device=moves.device)
    for first in range(0, len(moves), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        angle = 2 * torch.pi * (moves[some, :1] * freqs[:, 0] + moves[some, 1:] * freqs[:, 1])
        waves[some] = torch.polar(torch.ones_like(angle), angle)
    return waves
