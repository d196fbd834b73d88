"""The kernel of backprojection: one pass spreads data and weight of every coefficient over the half-sphere (numba).

The scatter for many channels is another (`ordered_scatter`); a single map needs three floats per voxel, kept
side by side here so that a neighbour costs one visit. Floor: 8 neighbours × 12 bytes read and written are 192 bytes per
coefficient, 0.29 MB per 64² and 1.2 MB per 128² image.

Threads own slabs of kz and each walks all images, writing only to its own: sums have one order, whatever the number of
threads, so results are equal to the last bit.
"""

import math

import numba
import numpy as np
from numba import njit, prange

from ..sphere import HalfSphere

_FAST = {"contract", "reassoc", "nsz", "arcp"}  # not "nnan": a NaN image must stay visible


def scatter(
    data: np.ndarray,
    power: np.ndarray,
    weights: np.ndarray,
    rotations: np.ndarray,
    freqs: np.ndarray,
    sphere: HalfSphere,
    sums: np.ndarray,
) -> None:
    """sums[v] += t_v · weights[b] · (Re data, Im data, power)[b, f], over images b, coefficients f and 8 neighbours v.

    Parameters
    ----------
    data : (B, F) complex64. power : (B, F) float32. weights : (B,) float32.
    rotations : (B, 3, 3) float32, volume to view.
    freqs : (F, 2) float32, in units of 1/(box · pixel).
    sums : (M, 3) float32, changed in place. The plane kx = 0 still needs the sum over its Hermitian pairs.
    """
    bounds = _slabs(sphere, numba.get_num_threads())
    arrays = (np.ascontiguousarray(a) for a in (data, power, weights, rotations, freqs))
    _scatter(*arrays, sphere.row_start, np.float32(sphere.step), np.float32(sphere.radius), bounds, sums)


def _slabs(sphere: HalfSphere, threads: int) -> np.ndarray:
    """(threads + 1,) bounds of the kz rows of each thread; central slices put π(R − |kz|) of their area at each kz."""
    h = sphere.half_width
    load = np.cumsum(h + 1.0 - np.abs(np.arange(-h, h + 1)))
    # Cut where the load summed up so far reaches one, two, … shares of the whole.
    inner = np.searchsorted(load, load[-1] * np.arange(1, threads) / threads)
    return np.concatenate([[0], inner, [2 * h + 1]]).astype(np.int64)


@njit(parallel=True, fastmath=_FAST, cache=True)
def _scatter(data, power, weights, rotations, freqs, row_start, step, radius, bounds, sums):
    one = np.float32(1.0)
    h = row_start.shape[0] // 2
    limit2 = np.float32((radius * step) ** 2 * (1 + 1e-5))
    for t in prange(len(bounds) - 1):
        low, high = bounds[t], bounds[t + 1]
        for b in range(data.shape[0]):
            axes = rotations[b, :2] * step
            weight = weights[b]
            for f in range(freqs.shape[0]):
                kx, ky = freqs[f, 0], freqs[f, 1]
                qx = kx * axes[0, 0] + ky * axes[1, 0]
                sign = -one if qx < 0 else one
                qz = sign * (kx * axes[0, 2] + ky * axes[1, 2])
                z = int(math.floor(qz)) + h
                if z >= high or z + 1 < low:
                    continue
                qx *= sign
                qy = sign * (kx * axes[0, 1] + ky * axes[1, 1])
                if qx * qx + qy * qy + qz * qz > limit2:
                    continue
                x, y = int(qx), int(math.floor(qy)) + h
                fx, fy, fz = qx - np.float32(x), qy - np.float32(y - h), qz - np.float32(z - h)
                re, im = weight * data[b, f].real, weight * sign * data[b, f].imag
                amount = weight * power[b, f]
                for dz in range(2):
                    if z + dz < low or z + dz >= high:
                        continue
                    wz = fz if dz else one - fz
                    for dy in range(2):
                        w = (fy if dy else one - fy) * wz
                        near, far = (one - fx) * w, fx * w
                        m = row_start[z + dz, y + dy] + x
                        sums[m, 0] += near * re
                        sums[m, 1] += near * im
                        sums[m, 2] += near * amount
                        sums[m + 1, 0] += far * re
                        sums[m + 1, 1] += far * im
                        sums[m + 1, 2] += far * amount
