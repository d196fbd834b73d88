"""The small system of every voxel, solved (numba).

Voxels are solved eight side by side (`lanes`), in a tile that stays in the fastest cache: their equations are read
once, and what is solved is written once. Right sides are rows below the matrix that are eliminated with it, and so are
those of the identity, of which the inverse comes. Floor: 2 C³/3 + 4 C² operations of a voxel, in double precision, at
the rate of a product of matrices.
"""

import numpy as np
from numba import njit, prange

from .lanes import LANES, add_squares, eliminate, leave, pivot, substitute_back, take, tile_of

LOTS = 32
"""Lots of side by side voxels that one task solves, one after the other in the same tile."""
ROWS = 4
"""Rows of the identity that are eliminated together, from the column where the first of them begins."""


@njit(parallel=True, cache=True)
def solve_voxels(lhs, rhs, precision, shells, solution, variance):
    """Per-voxel normal equations (docs/conventions.md, eq. 9): (A_v + diag precision[shell]) V_v = b_v by Cholesky.

    Parameters
    ----------
    lhs : (M, T) float32. Lower triangles of A_v packed by rows, T = C(C + 1)/2.
    rhs : (M, 2, C) float32.
    precision : (S, C) float32. Prior precision of each channel per shell.
    shells : (M,) int32.
    solution : (M, 2, C) float32, overwritten.
    variance : (M, C) float32, overwritten: the posterior variance of the real (and of the imaginary) part; (0, C) where
        it is not asked for.
    """
    n_voxels, n_channels, n_terms, wanted = len(lhs), rhs.shape[2], lhs.shape[1], len(variance) > 0
    sides, priors, inverse = n_terms, n_terms + 2 * n_channels, n_terms + 3 * n_channels
    rows = _rows(n_channels, sides, inverse)
    for task in prange((n_voxels + LOTS * LANES - 1) // (LOTS * LANES)):
        tile, starts = tile_of(inverse + n_channels**2 * wanted), np.empty((4, LANES), dtype=np.int64)
        for first in range(task * LOTS * LANES, min((task + 1) * LOTS * LANES, n_voxels), LANES):
            for v in range(LANES):
                # The last voxel stands for those beyond it: all of these write the same there.
                voxel = min(first + v, n_voxels - 1)
                starts[0, v], starts[1, v] = voxel * n_terms, voxel * 2 * n_channels
                starts[2, v], starts[3, v] = shells[voxel] * n_channels, voxel * n_channels
            take(lhs.reshape(-1), starts[0], n_terms, tile, 0)
            take(rhs.reshape(-1), starts[1], 2 * n_channels, tile, sides)
            take(precision.reshape(-1), starts[2], n_channels, tile, priors)
            _factorise(tile, rows, n_channels, priors, wanted)
            for i in range(n_channels - 1, -1, -1):
                substitute_back(tile, rows, i, n_channels, sides, sides + n_channels)
            leave(tile, sides, 2 * n_channels, solution.reshape(-1), starts[1])
            if wanted:
                # diag(A⁻¹) = column norms of L⁻¹
                for c in range(n_channels):
                    begin = rows[n_channels + 2 + c]
                    add_squares(tile, begin + c, begin + n_channels, priors + c)
                leave(tile, priors, n_channels, variance.reshape(-1), starts[3])


@njit
def _rows(n_channels, sides, inverse):
    """Entries of a tile with which its rows begin: those of the triangle, of two right sides, of the inverse."""
    rows = np.empty(2 * n_channels + 2, dtype=np.int64)
    for i in range(n_channels):
        rows[i], rows[n_channels + 2 + i] = i * (i + 1) // 2, inverse + i * n_channels
    rows[n_channels], rows[n_channels + 1] = sides, sides + n_channels
    return rows


@njit(inline="always")
def _factorise(tile, rows, n_channels, priors, wanted):
    """Put L in the place of the matrix, L⁻¹ b in that of its right sides and columns of L⁻¹, as rows, in theirs.

    The diagonal is kept as its inverse: what it would divide is then multiplied.
    """
    identity = n_channels + 2
    for j in range(n_channels):
        pivot(tile, rows[j], j, priors + j, (rows[identity + j] if wanted else rows[j]) + j)
        eliminate(tile, rows, j + 1, identity, rows[j], 0, j, False)
        if wanted:
            # What a row of the identity has before it begins is 0, and stays so from one lot to the next.
            for c in range(0, j, ROWS):
                eliminate(tile, rows, identity + c, identity + min(c + ROWS, j), rows[j], c, j, True)
