"""Images added to the half-sphere, block by block, in the order of the places where their points fall (`scatter`).

All functions share (rotations, freqs, row_start, step, radius): rotations (B, 3, 3) float32, volume to view; freqs
(F, 2) float32 in 1/(box · pixel); the rest says how the sphere stores its rows. `reached` is that of a
`SphereBlock`, None for whole spheres. Arrays are contiguous.
"""

from collections.abc import Iterator

import numpy as np

from .near import subtract_near
from .scatter import add_moments, add_weighted, blocks, order_points, planes_of_threads


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
        add_weighted(*order, values[part], amplitudes[part], row_start, out.reshape(-1))


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
    reached: np.ndarray | None = None,
) -> None:
    """Normal equations: lhs (M, T) += interpolation weight · weights[b, f] · moments[b], and `scatter_weighted` of the
    targets into rhs, with one search for the places of the points.

    weights (B, F) are CTF²/σ², moments (B, T) the packed E[s sᵀ]. `lhs` still needs `HalfSphere.symmetrize_real`.
    """
    for part, order in _ordered(rotations, freqs, row_start, step, radius, threads, reached):
        add_moments(*order, weights[part], moments[part], row_start, lhs.reshape(-1))
        add_weighted(*order, targets[part], amplitudes[part], row_start, rhs.reshape(-1))


def scatter_near(
    moving: np.ndarray,
    weights: np.ndarray,
    corrections: np.ndarray,
    rotations: np.ndarray,
    slopes: np.ndarray,
    freqs: np.ndarray,
    row_start: np.ndarray,
    step: np.float32,
    radius: np.float32,
    rhs: np.ndarray,
    threads: int,
    reached: np.ndarray | None = None,
) -> None:
    """rhs (M, 2, C) −= interpolation weight · weights[b, f] · Σ_j corrections[b, j] · J_j.

    J are the derivatives of a volume's slices by their poses and their defocus. moving (M, 2, 4): the volume and its
    moments; weights (B, F), corrections (B, 5, C) with slopes (B, 0), or (B, 6, C) with (B, F). `rhs` still
    needs `HalfSphere.symmetrize(total=True)`.
    """
    for part, order in _ordered(rotations, freqs, row_start, step, radius, threads, reached):
        images = weights[part], corrections[part], rotations[part], slopes[part]
        subtract_near(*order, moving, *images, freqs, row_start, rhs.reshape(-1))


def _ordered(rotations, freqs, row_start, step, radius, threads, reached=None) -> Iterator[tuple[slice, tuple]]:
    """Blocks of images and, for each, what the scatter kernels want to know of the order of its points."""
    half_width, bits = row_start.shape[0] // 2, max(1, len(freqs) - 1).bit_length()
    for part in blocks(len(rotations), len(freqs)):
        *points, plane_start = order_points(rotations[part], freqs, half_width, step, radius, bits, reached)
        yield part, (*points, plane_start, bits, planes_of_threads(plane_start, threads))
