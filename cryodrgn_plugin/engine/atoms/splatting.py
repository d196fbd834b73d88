"""Fourier sums of many points through a grid: points are spread over an oversampled grid by a window, the grid is
transformed, and the window's transform divided out (a non-uniform FFT of type 1). The cost is a window per point
and an FFT, not points × coefficients. Differentiable in places and amplitudes; on the CPU.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from scipy.fft import next_fast_len
from torch import Tensor

from .splat_kernels import read_cube, read_planes, splat_cube, splat_planes

OVERSAMPLING = 1.5
WIDTH = 7
"""Of the window, in grid steps: the error is about exp(−π w √(1 − 1/oversampling)), 3e-6 of the sum of amplitudes."""
BETA = 0.976 * math.pi * WIDTH * (1 - 0.5 / OVERSAMPLING)


def plane_sums(places: Tensor, amplitudes: Tensor, indices: Tensor) -> Tensor:
    """Σ_j a_j exp(−2πi k·r_j) in the plane.

    Parameters
    ----------
    places : (N, n, 2). (x, y) in units of the box, from its centre; what lies outside comes in on the other side.
    amplitudes : (N, n) or (1, n).
    indices : (F, 2) int64. Frequencies (kx, ky) with kx ≥ 0.

    Returns
    -------
    (N, F) complex.
    """
    limit = int(indices.abs().max())
    size = grid_size(limit)
    grid = _SplatPlanes.apply(places * size, amplitudes, size)
    spectra = torch.fft.rfft2(grid)
    window = torch.from_numpy(window_transform(limit, size)).to(places)
    kx, ky = indices.unbind(1)
    values = spectra.flatten(1)[:, (ky % size) * (size // 2 + 1) + kx]
    return values / (window[kx] * window[ky.abs()])


def space_sums(places: Tensor, amplitudes: Tensor, limit: int) -> Tensor:
    """The same in space, for all |kx|, |ky|, |kz| ≤ limit.

    Parameters
    ----------
    places : (n, 3). (x, y, z) in units of the box, from its centre.
    amplitudes : (n,).

    Returns
    -------
    (2 limit + 1, 2 limit + 1, limit + 1) complex, [kz, ky, kx] with kz and ky from −limit, kx from 0.
    """
    size = grid_size(limit)
    spectrum = torch.fft.rfftn(_SplatCube.apply(places * size, amplitudes, size))
    window = torch.from_numpy(window_transform(limit, size)).to(places)
    signed = torch.arange(-limit, limit + 1)
    kept = spectrum[signed % size][:, signed % size][:, :, : limit + 1]
    both = window[signed.abs()]
    return kept / (both[:, None, None] * both[:, None] * window)


def grid_size(limit: int) -> int:
    """Even edge of the grid for frequencies up to `limit`."""
    size = max(math.ceil(OVERSAMPLING * 2 * (limit + 1)), 2 * WIDTH)
    return 2 * next_fast_len((size + 1) // 2, real=True)


@lru_cache(maxsize=16)
def window_transform(limit: int, size: int) -> np.ndarray:
    """(limit + 1,) ∫ φ(x) cos(2πkx/size) dx of the window, by Gauss and Legendre's rule."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    window = np.exp(BETA * (np.sqrt(1 - nodes**2) - 1))
    waves = np.cos(2 * np.pi * np.arange(limit + 1)[:, None] * nodes * WIDTH / 2 / size)
    return (waves * window * weights).sum(1) * WIDTH / 2


class _SplatPlanes(torch.autograd.Function):
    """(N, n, 2) places in grid steps, (N | 1, n) amplitudes → (N, size, size)."""

    @staticmethod
    def forward(ctx, places, amplitudes, size):
        ctx.save_for_backward(places, amplitudes)
        grid = np.zeros((len(places), size, size))
        splat_planes(*_arrays(places, amplitudes.expand(len(places), -1)), WIDTH, BETA, grid)
        return torch.from_numpy(grid).to(places.dtype)

    @staticmethod
    def backward(ctx, grad):
        places, amplitudes = ctx.saved_tensors
        by_places, by_amplitudes = np.empty(places.shape), np.empty(places.shape[:2])
        where, weights, values = _arrays(places, amplitudes.expand(len(places), -1), grad)
        read_planes(where, weights, WIDTH, BETA, values, by_places, by_amplitudes)
        if len(amplitudes) < len(places):
            by_amplitudes = by_amplitudes.sum(0, keepdims=True)
        return torch.from_numpy(by_places).to(grad.dtype), torch.from_numpy(by_amplitudes).to(grad.dtype), None


class _SplatCube(torch.autograd.Function):
    """(n, 3) places in grid steps, (n,) amplitudes → (size, size, size)."""

    @staticmethod
    def forward(ctx, places, amplitudes, size):
        ctx.save_for_backward(places, amplitudes)
        grid = np.zeros((size,) * 3)
        splat_cube(*_arrays(places, amplitudes), WIDTH, BETA, grid)
        return torch.from_numpy(grid).to(places.dtype)

    @staticmethod
    def backward(ctx, grad):
        places, amplitudes = ctx.saved_tensors
        by_places, by_amplitudes = np.empty(places.shape), np.empty(len(places))
        where, weights, values = _arrays(places, amplitudes, grad)
        read_cube(where, weights, WIDTH, BETA, values, by_places, by_amplitudes)
        return torch.from_numpy(by_places).to(grad.dtype), torch.from_numpy(by_amplitudes).to(grad.dtype), None


def _arrays(*tensors: Tensor) -> list[np.ndarray]:
    """In double precision, so that each kernel is compiled once."""
    return [np.ascontiguousarray(tensor.detach().numpy(), dtype=np.float64) for tensor in tensors]
