"""Kernels that add slices into the half-sphere (numba): the adjoints of `gather`, over voxel runs of many channels.

The points of a block of images are first ordered by where they fall: by plane kz, then by cell (the cube between eight
voxels), then by image and coefficient. What falls into one cell is summed in registers and added to its voxels once, so
the half-sphere is walked once per block and not once per image. A thread owns a range of planes and adds only to those.
Every voxel thus gets its terms in one order, whatever the number of threads.
"""

from collections.abc import Iterator

import numpy as np
from numba import njit, prange

from .runs import prefetch, scale, spread
from .trilinear import FAST, axes_of, corner_starts, corner_weights, limit_of, locate

BLOCK_POINTS = 2**19
"""Points ordered at a time; their order takes 36 bytes each."""
STRIP_BITS = 4
"""2^4 rows of ky are first ordered together; their points, and as many counters as they have cells, fit the cache."""
SHARES = 16
"""Parts of a block that are ordered side by side, whatever the number of threads."""
AT_ONCE = 64
"""Points whose runs are made before they are added."""


def blocks(n_images: int, n_points: int) -> Iterator[slice]:
    """Runs of images whose points are ordered together."""
    size = max(1, BLOCK_POINTS // max(n_points, 1))
    return (slice(start, start + size) for start in range(0, n_images, size))


def planes_of_threads(plane_start: np.ndarray, threads: int) -> np.ndarray:
    """(threads + 1,) bounds of the planes that each thread owns, with about equal numbers of points."""
    # Cut where the points so far reach one, two, … shares of all.
    inner = np.searchsorted(plane_start, plane_start[-1] * np.arange(1, threads) / threads)
    return np.concatenate([[0], inner, [len(plane_start) - 1]]).astype(np.int64)


def order_points(rotations, freqs, half_width, step, radius, bits, reached=None):
    """Points inside the limit, ordered by place; of a block (`SphereBlock.reached`) those in its cells.

    Returns
    -------
    points (P,) int32: image · 2^bits + coefficient; cells (P, 2) int32, their base voxels' x and y; fractions (P, 4)
    float32, what they are beyond these and the sign of the conjugation; plane_start (2H + 2,): where each plane kz of
    base voxels begins.
    """
    x_bits = int(half_width).bit_length()
    keys = _keys(rotations, freqs, half_width, step, radius, x_bits)
    if reached is not None:
        keep_reached(keys, reached, x_bits + STRIP_BITS, x_bits)
    points, cells, strip_start = _order_strips(keys, half_width, bits, x_bits)
    ordered = _order_cells(points, cells, strip_start, rotations, freqs, step, half_width, bits, x_bits)
    n_strips = (len(strip_start) - 1) // (2 * half_width + 1)
    return *ordered, np.ascontiguousarray(strip_start[::n_strips])


@njit(parallel=True, fastmath=FAST, cache=True)
def _keys(rotations, freqs, half_width, step, radius, x_bits):
    """(B, F) int32. Strip of each point, its row within it, and x, from the highest bits to the lowest; −1 outside.

    31 bits hold any sphere of which a few numbers per voxel fit into memory, up to a half width of 600.
    """
    n_images, n_points, h = rotations.shape[0], freqs.shape[0], half_width
    limit2, n_strips = limit_of(radius, step), ((2 * h + 1) >> STRIP_BITS) + 1
    keys = np.empty((n_images, n_points), dtype=np.int32)
    along_x, along_y = freqs[:, 0].copy(), freqs[:, 1].copy()
    for b in prange(n_images):
        axes = axes_of(rotations[b], step)
        own = keys[b]
        for f in range(n_points):
            x, y, z, _, _, _, _, inside = locate(along_x[f], along_y[f], axes, limit2)
            row, plane = y + np.int32(h), z + np.int32(h)
            strip = plane * np.int32(n_strips) + (row >> np.int32(STRIP_BITS))
            within = row & np.int32((1 << STRIP_BITS) - 1)
            key = (((strip << np.int32(STRIP_BITS)) + within) << np.int32(x_bits)) + x
            own[f] = key if inside else np.int32(-1)
    return keys


@njit(parallel=True, cache=True)
def keep_reached(keys, reached, low_bits, x_bits):
    """Take out the keys (B, F) of points whose cells are not within `reached` (2, 2H + 1, 2H + 1)."""
    n_strips = (reached.shape[1] >> STRIP_BITS) + 1
    for b in prange(keys.shape[0]):
        for f in range(keys.shape[1]):
            key = keys[b, f]
            if key >= 0:
                plane, strip = divmod(key >> low_bits, n_strips)
                row = (strip << STRIP_BITS) + ((key >> x_bits) & ((1 << STRIP_BITS) - 1))
                x = key & ((1 << x_bits) - 1)
                if x < reached[0, plane, row] or x >= reached[1, plane, row]:
                    keys[b, f] = -1


@njit(parallel=True, fastmath=FAST, cache=True)
def _order_strips(keys, half_width, bits, x_bits):
    """Points by plane and strip, their cells in it, and where each strip begins: one plane's after the other's."""
    n_images, n_points = keys.shape
    n_strips = (2 * half_width + 1) * (((2 * half_width + 1) >> STRIP_BITS) + 1)
    low_bits = STRIP_BITS + x_bits
    # First how many points a share of the images has in each strip, then where in `points` its next one goes.
    next_slot = np.zeros((SHARES, n_strips), dtype=np.int64)
    for share in prange(SHARES):
        for b in range(n_images * share // SHARES, n_images * (share + 1) // SHARES):
            for f in range(n_points):
                if keys[b, f] >= 0:
                    next_slot[share, keys[b, f] >> low_bits] += 1
    strip_start = np.zeros(n_strips + 1, dtype=np.int64)
    total = 0
    for strip in range(n_strips):
        strip_start[strip] = total
        for share in range(SHARES):
            count = next_slot[share, strip]
            next_slot[share, strip] = total
            total += count
    strip_start[-1] = total
    points, cells = np.empty(total, dtype=np.int32), np.empty(total, dtype=np.int32)
    for share in prange(SHARES):
        for b in range(n_images * share // SHARES, n_images * (share + 1) // SHARES):
            for f in range(n_points):
                key = keys[b, f]
                if key >= 0:
                    slot = next_slot[share, key >> low_bits]
                    next_slot[share, key >> low_bits] = slot + 1
                    points[slot] = (b << bits) + f
                    cells[slot] = key & ((1 << low_bits) - 1)
    return points, cells, strip_start


@njit(parallel=True, fastmath=FAST, cache=True)
def _order_cells(points, cells, strip_start, rotations, freqs, step, half_width, bits, x_bits):
    """The points of each strip by cell, those of a cell in the order they had; their cells and fractions."""
    ordered, places = np.empty_like(points), np.empty((len(points), 2), dtype=np.int32)
    fractions = np.empty((len(points), 4), dtype=np.float32)
    for strip in prange(len(strip_start) - 1):
        begin, end = strip_start[strip], strip_start[strip + 1]
        if begin == end:
            continue
        next_slot = np.zeros((1 << (STRIP_BITS + x_bits)) + 1, dtype=np.int32)
        for i in range(begin, end):
            next_slot[cells[i] + 1] += 1
        for cell in range(1, len(next_slot)):
            next_slot[cell] += next_slot[cell - 1]
        for i in range(begin, end):
            at = begin + next_slot[cells[i]]
            next_slot[cells[i]] += 1
            b, f = points[i] >> bits, points[i] & ((1 << bits) - 1)
            x, y, _, fx, fy, fz, sign, _ = locate(
                freqs[f, 0], freqs[f, 1], axes_of(rotations[b], step), np.float32(0.0)
            )
            ordered[at], places[at, 0], places[at, 1] = points[i], x, y
            fractions[at, 0], fractions[at, 1], fractions[at, 2], fractions[at, 3] = fx, fy, fz, sign
    return ordered, places, fractions


@njit(inline="always")
def room_for_points():
    """Scratch of one thread for the points at hand: interpolation weights, and where runs begin."""
    return np.empty((AT_ONCE, 8), dtype=np.float32), np.empty(AT_ONCE, dtype=np.int64)


@njit(inline="always")
def keep_to(low, high, plane, share):
    """Leave planes outside [low, high) to their owners: nothing is added there."""
    if plane < low:
        share[:4] = 0
    if plane + 1 >= high:
        share[4:] = 0


@njit(inline="always")
def spread_cells(flat, row_start, low, high, plane, places, share, source, rows, width):
    """Add runs of `source`, at `rows`, to the voxels around `places` (n, 2) of a plane: each cell's together."""
    starts = np.empty(8, dtype=np.int64)
    h = row_start.shape[0] // 2
    first = 0
    while first < len(places):
        x, y = places[first, 0], places[first, 1]
        after = first + 1
        while after < len(places) and places[after, 0] == x and places[after, 1] == y:
            after += 1
        corner_starts(row_start, x, y, plane - h, width, starts)
        # Voxels of planes that others own are left as they are, and not even read.
        if plane < low:
            starts[:4] = starts[4:]
        if plane + 1 >= high:
            starts[4:] = starts[:4]
        spread(flat, starts, share[first:], source, rows[first:], width, after - first)
        first = after


@njit(inline="always")
def ask_for(values, points, first, stop, bits):
    """Have the values (B · F) of the next points fetched: in the order of places each is another cache line."""
    n_points = values.shape[1]
    of_all = values.reshape(-1)
    for i in range(first, min(first + AT_ONCE, stop)):
        prefetch(of_all, (points[i] >> bits) * n_points + (points[i] & ((1 << bits) - 1)), 1)


@njit(parallel=True, fastmath=FAST, cache=True)
def add_moments(points, places, fractions, plane_start, bits, planes, weights, moments, row_start, flat):
    """flat[voxel] (T) += interpolation weight · weights[b, f] · moments[b]."""
    n_terms, source = moments.shape[1], moments.reshape(-1)
    for t in prange(len(planes) - 1):
        low, high = planes[t], planes[t + 1]
        share, rows = room_for_points()
        for plane in range(max(low - 1, 0), high):
            stop = plane_start[plane + 1]
            for first in range(plane_start[plane], stop, AT_ONCE):
                after = min(first + AT_ONCE, stop)
                ask_for(weights, points, after, stop, bits)
                for i in range(after - first):
                    b, f = points[first + i] >> bits, points[first + i] & ((1 << bits) - 1)
                    fraction = fractions[first + i]
                    corner_weights(fraction[0], fraction[1], fraction[2], weights[b, f], share[i])
                    keep_to(low, high, plane, share[i])
                    rows[i] = b * n_terms
                spread_cells(flat, row_start, low, high, plane, places[first:after], share, source, rows, n_terms)


@njit(parallel=True, fastmath=FAST, cache=True)
def add_weighted(points, places, fractions, plane_start, bits, planes, values, amplitudes, row_start, flat):
    """flat[voxel] (2, C) += interpolation weight · values[b, f] · amplitudes[b], conjugated where the slice is."""
    n_channels = amplitudes.shape[1]
    width = 2 * n_channels
    for t in prange(len(planes) - 1):
        low, high = planes[t], planes[t + 1]
        share, rows = room_for_points()
        runs = np.empty((AT_ONCE, width), dtype=np.float32)
        source = runs.reshape(-1)
        for plane in range(max(low - 1, 0), high):
            stop = plane_start[plane + 1]
            for first in range(plane_start[plane], stop, AT_ONCE):
                after = min(first + AT_ONCE, stop)
                ask_for(values, points, after, stop, bits)
                for i in range(after - first):
                    b, f = points[first + i] >> bits, points[first + i] & ((1 << bits) - 1)
                    fraction = fractions[first + i]
                    corner_weights(fraction[0], fraction[1], fraction[2], np.float32(1.0), share[i])
                    keep_to(low, high, plane, share[i])
                    rows[i] = i * width
                    scale(values[b, f].real, amplitudes[b], runs[i], n_channels)
                    scale(fraction[3] * values[b, f].imag, amplitudes[b], runs[i, n_channels:], n_channels)
                spread_cells(flat, row_start, low, high, plane, places[first:after], share, source, rows, width)
