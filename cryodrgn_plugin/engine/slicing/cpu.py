"""Fused slicing on the CPU: what decoders and closed forms call. The kernels are in `gather`, `scatter` and `voxels`.

Floors, per image of F coefficients with C channels: the gather reads 8 · 2C floats per coefficient, so at D = 128 (F ≈
6,300) and C = 17 that is 6.8 MB; at 10 GB/s and core, 0.7 ms. Scatter kernels read and write the same amount.

All functions share (rotations, freqs, row_start, step, radius): rotations (B, 3, 3) float32, volume to view; freqs
(F, 2) float32 in 1/(box · pixel); the rest is `operator.kernel_geometry`. Arrays are contiguous.
"""

from collections.abc import Iterator

import numpy as np

from .gather import amplitude_gradients, compress_images, project_channels, project_weighted, rotation_gradients
from .scatter import add_moments, add_weighted, blocks, order_points, planes_of_threads
from .voxels import solve_voxels

__all__ = [
    "amplitude_gradients",
    "compress_images",
    "project_channels",
    "project_weighted",
    "rotation_gradients",
    "scatter_equations",
    "scatter_moments",
    "scatter_weighted",
    "solve_voxels",
]


def scatter_weighted(
    values: np.ndarray,
    amplitudes: np.ndarray,
    rotations: np.ndarray,
    freqs: np.ndarray,
    row_start: np.ndarray,
    step: np.float32,
    radius: np.float32,
    out: np.ndarray,
    threads: int,
) -> None:
    """The adjoint of `project_weighted` in the coefficients: out (M, 2, C) += interpolation weight · amplitude · value.

    values : (B, F) complex64, amplitudes (B, C). `out` still needs `HalfSphere.symmetrize(total=True)`.
    """
    for part, order in _ordered(rotations, freqs, row_start, step, radius, threads):
        where = (rotations[part], freqs, row_start, step)
        add_weighted(*order, values[part], amplitudes[part], *where, out.reshape(-1))


def scatter_moments(
    weights: np.ndarray,
    moments: np.ndarray,
    rotations: np.ndarray,
    freqs: np.ndarray,
    row_start: np.ndarray,
    step: np.float32,
    radius: np.float32,
    out: np.ndarray,
    threads: int,
) -> None:
    """Accumulate out[m, :] += interpolation weight · weights[b, f] · moments[b, :].

    The left side of the normal equations (F1): weights (B, F) are CTF²/σ², moments (B, T) the packed E[s sᵀ].
    `out` (M, T) still needs `HalfSphere.symmetrize_real`.
    """
    for part, order in _ordered(rotations, freqs, row_start, step, radius, threads):
        where = (rotations[part], freqs, row_start, step)
        add_moments(*order, weights[part], moments[part], *where, out.reshape(-1))


def scatter_equations(
    weights: np.ndarray,
    moments: np.ndarray,
    targets: np.ndarray,
    amplitudes: np.ndarray,
    rotations: np.ndarray,
    freqs: np.ndarray,
    row_start: np.ndarray,
    step: np.float32,
    radius: np.float32,
    lhs: np.ndarray,
    rhs: np.ndarray,
    threads: int,
) -> None:
    """`scatter_moments` into lhs and `scatter_weighted` of targets into rhs, with one search for the points' places."""
    for part, order in _ordered(rotations, freqs, row_start, step, radius, threads):
        where = (rotations[part], freqs, row_start, step)
        add_moments(*order, weights[part], moments[part], *where, lhs.reshape(-1))
        add_weighted(*order, targets[part], amplitudes[part], *where, rhs.reshape(-1))


def _ordered(rotations, freqs, row_start, step, radius, threads) -> Iterator[tuple[slice, tuple]]:
    """Blocks of images and, for each, what the scatter kernels want to know of the order of its points."""
    half_width, bits = row_start.shape[0] // 2, max(1, len(freqs) - 1).bit_length()
    for part in blocks(len(rotations), len(freqs)):
        points, plane_start = order_points(rotations[part], freqs, half_width, step, radius, bits)
        yield part, (points, bits, plane_start, planes_of_threads(plane_start, threads))
