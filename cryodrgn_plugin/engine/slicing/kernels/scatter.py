"""Kernels that add slices into the half-sphere (numba): the adjoints of `gather`, over voxel runs of many channels.

The points of a block of images are first ordered by where they fall: by plane kz, then by strip of ky, then by image
and coefficient. Strips fit a core's own cache, so the half-sphere is walked once per block and not once per image.
A thread owns a range of planes and adds only to those. Every voxel thus gets its terms in one order, whatever the
number of threads.
"""

from collections.abc import Iterator

import numpy as np
from numba import njit, prange

from .runs import prefetch, scale, spread
from .trilinear import FAST, axes_of, corner_starts, corner_weights, limit_of, locate

BLOCK_POINTS = 2**21
"""Points ordered at a time; their order takes 4 bytes each."""
STRIP = 16
"""Rows of ky ordered together."""
SHARES = 16
"""Parts of a block that are ordered side by side, whatever the number of threads."""
CHUNK = 32


def blocks(n_images: int, n_points: int) -> Iterator[slice]:
    """Runs of images whose points are ordered together."""
    size = max(1, BLOCK_POINTS // max(n_points, 1))
    return (slice(start, start + size) for start in range(0, n_images, size))


def planes_of_threads(plane_start: np.ndarray, threads: int) -> np.ndarray:
    """(threads + 1,) bounds of the planes that each thread owns, with about equal numbers of points."""
    # Cut where the points so far reach one, two, … shares of all.
    inner = np.searchsorted(plane_start, plane_start[-1] * np.arange(1, threads) / threads)
    return np.concatenate([[0], inner, [len(plane_start) - 1]]).astype(np.int64)


@njit(parallel=True, fastmath=FAST, cache=True)
def order_points(rotations, freqs, half_width, step, radius, bits):
    """Points inside the limit, ordered by place.

    Returns
    -------
    points (P,) int32: image · 2^bits + coefficient; plane_start (2H + 2,): where each plane kz of base voxels begins.
    """
    n_images, n_points, h = rotations.shape[0], freqs.shape[0], half_width
    limit2 = limit_of(radius, step)
    n_planes = 2 * h + 1
    n_strips = n_planes // STRIP + 1
    # First how many points a share of the images has at each key, then where in `points` its next one goes.
    next_slot = np.zeros((SHARES, n_planes * n_strips), dtype=np.int64)
    for share in prange(SHARES):
        for b in range(n_images * share // SHARES, n_images * (share + 1) // SHARES):
            axes = axes_of(rotations[b], step)
            for f in range(n_points):
                _, y, z, _, _, _, _, inside = locate(freqs[f, 0], freqs[f, 1], axes, limit2)
                if inside:
                    next_slot[share, (z + h) * n_strips + (y + h) // STRIP] += 1
    plane_start = np.zeros(n_planes + 1, dtype=np.int64)
    total = 0
    for key in range(n_planes * n_strips):
        if key % n_strips == 0:
            plane_start[key // n_strips] = total
        for share in range(SHARES):
            count = next_slot[share, key]
            next_slot[share, key] = total
            total += count
    plane_start[n_planes] = total
    points = np.empty(total, dtype=np.int32)
    for share in prange(SHARES):
        for b in range(n_images * share // SHARES, n_images * (share + 1) // SHARES):
            axes = axes_of(rotations[b], step)
            for f in range(n_points):
                _, y, z, _, _, _, _, inside = locate(freqs[f, 0], freqs[f, 1], axes, limit2)
                if inside:
                    key = (z + h) * n_strips + (y + h) // STRIP
                    points[next_slot[share, key]] = (b << bits) + f
                    next_slot[share, key] += 1
    return points, plane_start


@njit(inline="always")
def _keep_to(low, high, z, starts, weights):
    """Leave planes outside [low, high) to their owners: nothing is added there, and nothing written."""
    if z < low:
        starts[:4] = starts[4:]
        weights[:4] = 0
    if z + 1 >= high:
        starts[4:] = starts[:4]
        weights[4:] = 0


@njit(inline="always")
def _ask_for(values, points, first, stop, bits):
    """Have the values (B · F) of the next chunk's points fetched: in the order of places each is another cache line."""
    n_points = values.shape[1]
    of_all = values.reshape(-1)
    for i in range(first, min(first + CHUNK, stop)):
        prefetch(of_all, (points[i] >> bits) * n_points + (points[i] & ((1 << bits) - 1)), 1)


@njit(parallel=True, fastmath=FAST, cache=True)
def add_moments(points, bits, plane_start, planes, weights, moments, rotations, freqs, row_start, step, flat):
    """flat[voxel] (T) += interpolation weight · weights[b, f] · moments[b]."""
    n_terms, h = moments.shape[1], row_start.shape[0] // 2
    for t in prange(len(planes) - 1):
        low, high = planes[t], planes[t + 1]
        starts, share = np.empty((CHUNK, 8), dtype=np.int64), np.empty((CHUNK, 8), dtype=np.float32)
        image = np.empty(CHUNK, dtype=np.int64)
        stop = plane_start[high]
        for first in range(plane_start[max(low - 1, 0)], stop, CHUNK):
            count = min(CHUNK, stop - first)
            _ask_for(weights, points, first + CHUNK, stop, bits)
            for i in range(count):
                b, f = points[first + i] >> bits, points[first + i] & ((1 << bits) - 1)
                axes = axes_of(rotations[b], step)
                x, y, z, fx, fy, fz, _, _ = locate(freqs[f, 0], freqs[f, 1], axes, np.float32(0.0))
                corner_starts(row_start, x, y, z, n_terms, starts[i])
                corner_weights(fx, fy, fz, weights[b, f], share[i])
                _keep_to(low, high, z + h, starts[i], share[i])
                image[i] = b
            for i in range(count):
                spread(flat, starts[i], share[i], moments[image[i]], n_terms)


@njit(parallel=True, fastmath=FAST, cache=True)
def add_weighted(points, bits, plane_start, planes, values, amplitudes, rotations, freqs, row_start, step, flat):
    """flat[voxel] (2, C) += interpolation weight · values[b, f] · amplitudes[b], conjugated where the slice is."""
    n_channels, h = amplitudes.shape[1], row_start.shape[0] // 2
    for t in prange(len(planes) - 1):
        low, high = planes[t], planes[t + 1]
        starts, share = np.empty((CHUNK, 8), dtype=np.int64), np.empty((CHUNK, 8), dtype=np.float32)
        runs = np.empty((CHUNK, 2 * n_channels), dtype=np.float32)
        stop = plane_start[high]
        for first in range(plane_start[max(low - 1, 0)], stop, CHUNK):
            count = min(CHUNK, stop - first)
            _ask_for(values, points, first + CHUNK, stop, bits)
            for i in range(count):
                b, f = points[first + i] >> bits, points[first + i] & ((1 << bits) - 1)
                axes = axes_of(rotations[b], step)
                x, y, z, fx, fy, fz, sign, _ = locate(freqs[f, 0], freqs[f, 1], axes, np.float32(0.0))
                corner_starts(row_start, x, y, z, 2 * n_channels, starts[i])
                for corner in range(0, 8, 2):
                    prefetch(flat, starts[i, corner], 4 * n_channels)
                corner_weights(fx, fy, fz, np.float32(1.0), share[i])
                _keep_to(low, high, z + h, starts[i], share[i])
                scale(values[b, f].real, amplitudes[b], runs[i], n_channels)
                scale(sign * values[b, f].imag, amplitudes[b], runs[i, n_channels:], n_channels)
            for i in range(count):
                spread(flat, starts[i], share[i], runs[i], 2 * n_channels)
