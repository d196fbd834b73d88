"""The small system of every voxel, solved (numba)."""

import math

import numpy as np
from numba import njit, prange


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
    variance : (M, C) float32, overwritten: the posterior variance of the real (and of the imaginary) part.
    """
    n_channels = rhs.shape[2]
    for m in prange(lhs.shape[0]):
        low = np.zeros((n_channels, n_channels), dtype=np.float64)
        k = 0
        for i in range(n_channels):
            for j in range(i + 1):
                total = float(lhs[m, k])
                k += 1
                if i == j:
                    total += precision[shells[m], i]
                for p in range(j):
                    total -= low[i, p] * low[j, p]
                low[i, j] = math.sqrt(max(total, 1e-30)) if i == j else total / low[j, j]
        x = np.empty(n_channels, dtype=np.float64)
        for part in range(2):
            for i in range(n_channels):
                total = float(rhs[m, part, i])
                for p in range(i):
                    total -= low[i, p] * x[p]
                x[i] = total / low[i, i]
            for i in range(n_channels - 1, -1, -1):
                total = x[i]
                for p in range(i + 1, n_channels):
                    total -= low[p, i] * x[p]
                x[i] = total / low[i, i]
            for i in range(n_channels):
                solution[m, part, i] = x[i]
        # diag(A⁻¹) = column norms of L⁻¹
        for c in range(n_channels):
            norm = 0.0
            for i in range(c, n_channels):
                total = 1.0 if i == c else 0.0
                for p in range(c, i):
                    total -= low[i, p] * x[p]
                x[i] = total / low[i, i]
                norm += x[i] * x[i]
            variance[m, c] = norm
