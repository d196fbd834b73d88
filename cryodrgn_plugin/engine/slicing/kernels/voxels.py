"""The small system of every voxel, solved (numba).

Some voxels are solved side by side, so that every sum is one of vectors.
"""

import math

import numpy as np
from numba import njit, prange

LANES = 8
"""Voxels solved side by side: as many doubles as the widest vectors hold."""


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
    n_channels = rhs.shape[2]
    for lot in prange((len(lhs) + LANES - 1) // LANES):
        low, x = np.empty((n_channels, n_channels, LANES)), np.empty((n_channels, LANES))
        first = lot * LANES
        _factorise(lhs, precision, shells, first, low)
        for part in range(2):
            for i in range(n_channels):
                for v in range(LANES):
                    x[i, v] = rhs[min(first + v, len(lhs) - 1), part, i]
            _substitute(low, x, 0)
            for i in range(n_channels - 1, -1, -1):
                for p in range(i + 1, n_channels):
                    for v in range(LANES):
                        x[i, v] -= low[p, i, v] * x[p, v]
                for v in range(LANES):
                    x[i, v] *= low[i, i, v]
            for v in range(min(LANES, len(lhs) - first)):
                for i in range(n_channels):
                    solution[first + v, part, i] = x[i, v]
        for c in range(n_channels if len(variance) else 0):
            # diag(A⁻¹) = column norms of L⁻¹
            x[c:] = 0
            x[c] = 1
            _substitute(low, x, c)
            for v in range(min(LANES, len(lhs) - first)):
                norm = 0.0
                for i in range(c, n_channels):
                    norm += x[i, v] ** 2
                variance[first + v, c] = norm


@njit(inline="always")
def _factorise(lhs, precision, shells, first, low):
    """low (C, C, LANES) = L of the voxels from `first` on, of which the last stands for those beyond it.

    The diagonal is kept as its inverse: what it would divide is then multiplied.
    """
    term, last = 0, len(lhs) - 1
    total = np.empty(LANES)
    for i in range(low.shape[0]):
        for j in range(i + 1):
            for v in range(LANES):
                total[v] = lhs[min(first + v, last), term]
            term += 1
            for p in range(j):
                for v in range(LANES):
                    total[v] -= low[i, p, v] * low[j, p, v]
            if j < i:
                for v in range(LANES):
                    low[i, j, v] = total[v] * low[j, j, v]
            else:
                for v in range(LANES):
                    own = total[v] + precision[shells[min(first + v, last)], i]
                    low[i, i, v] = 1 / math.sqrt(max(own, 1e-30))


@njit(inline="always")
def _substitute(low, x, begin):
    """x ← L⁻¹ x for x (C, LANES), which is 0 before row `begin`."""
    for i in range(begin, low.shape[0]):
        for p in range(begin, i):
            for v in range(LANES):
                x[i, v] -= low[i, p, v] * x[p, v]
        for v in range(LANES):
            x[i, v] *= low[i, i, v]
