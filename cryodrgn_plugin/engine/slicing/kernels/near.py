"""Images near their poses: the derivatives of slices by the pose, in the kernels that need them (numba).

The moments of a volume V, which are the transforms of x·V, y·V and z·V, times −2πi are the derivatives of the transform
of V by the place (docs/conventions.md, eq. 13). Read where the slice is read they give its derivatives by the five
parameters of a pose, as exact as the slice, at the cost of three more channels: without differences between voxels, at
each of which an interpolated slice bends.
"""

import math

import numpy as np
from numba import njit, prange

from ..backend import N_ERRORS, N_MOMENTS, N_PARAMETERS
from .gather import CHUNK, _room, _slice_chunk, add_products, fill_upper
from .runs import blend, blend_pair, spread
from .scatter import AT_ONCE, ask_for, keep_to, room_for_points, spread_cells
from .trilinear import FAST, axes_of, corner_starts, corner_weights, limit_of

FULL_TURN = np.float32(2 * math.pi)


@njit(inline="always")
def _changes(u, x, y, z, kx, ky, rotation):
    """What the five parameters do to the real or to the imaginary part of a slice, but for the factor −2πi.

    u, (x, y, z): that part of the slice and of the moments at the coefficient (kx, ky). A turn ω of the view moves the
    place by k × ω, a shift changes the phase in proportion to k.
    """
    right = rotation[0, 0] * x + rotation[0, 1] * y + rotation[0, 2] * z
    down = rotation[1, 0] * x + rotation[1, 1] * y + rotation[1, 2] * z
    along = rotation[2, 0] * x + rotation[2, 1] * y + rotation[2, 2] * z
    return -ky * along, kx * along, ky * right - kx * down, kx * u, ky * u


@njit(inline="always")
def _fill_jacobian(parts, first, moments, rotation, freqs, signs):
    """Write J into the rows of `parts` (·, 2 CHUNK) from `first` on, for one chunk of coefficients.

    Row 0 of `parts` and the rows of moments (3, 2 CHUNK) hold a slice's real parts and then its imaginary parts, the
    latter still to be multiplied by signs; so do the rows written. −2πi makes of an imaginary part a real one.
    """
    for i in range(freqs.shape[0]):
        kx, ky, turn = freqs[i, 0], freqs[i, 1], FULL_TURN * signs[i]
        real = _changes(parts[0, i], moments[0, i], moments[1, i], moments[2, i], kx, ky, rotation)
        k = CHUNK + i
        imaginary = _changes(parts[0, k], moments[0, k], moments[1, k], moments[2, k], kx, ky, rotation)
        for j in range(N_PARAMETERS):
            parts[first + j, i] = turn * imaginary[j]
            parts[first + j, k] = -turn * real[j]


@njit(inline="always")
def _fill_chunk(slices, signs, image, freqs, n_volumes, rows):
    """Take the slices of a chunk of one image apart into rows of a channel each, the derivatives after the volumes.

    slices (CHUNK, 2W), of W channels the first `n_volumes` and the moments, the last three; image: weights, targets,
    slopes of its coefficients, and rotation. rows as of `_rows`: parts (C, 2 CHUNK), with weight and target (2 CHUNK)
    of the same coefficients: real parts and then imaginary ones, 0 beyond the last.
    """
    weights, targets, slopes, rotation = image
    parts, moments, weight, target, _ = rows
    width, count = slices.shape[1] // 2, freqs.shape[0]
    if count < CHUNK:
        weight[:] = 0
        target[:] = 0
    for i in range(count):
        for c in range(n_volumes):
            parts[c, i], parts[c, CHUNK + i] = slices[i, c], slices[i, width + c]
        for d in range(N_MOMENTS):
            moments[d, i] = slices[i, width - N_MOMENTS + d]
            moments[d, CHUNK + i] = slices[i, 2 * width - N_MOMENTS + d]
        weight[i] = weight[CHUNK + i] = weights[i]
        target[i], target[CHUNK + i] = targets[i].real, signs[i] * targets[i].imag
    _fill_jacobian(parts, n_volumes, moments, rotation, freqs, signs)
    if parts.shape[0] == n_volumes + N_ERRORS:
        for i in range(count):
            parts[n_volumes + N_PARAMETERS, i] = slopes[i] * parts[0, i]
            parts[n_volumes + N_PARAMETERS, CHUNK + i] = slopes[i] * parts[0, CHUNK + i]


@njit(inline="always")
def _rows(n_channels):
    """Scratch of one thread: parts, moments, weight, target, weighted."""
    return (
        np.zeros((n_channels, 2 * CHUNK), dtype=np.float32),
        np.empty((N_MOMENTS, 2 * CHUNK), dtype=np.float32),
        np.zeros(2 * CHUNK, dtype=np.float32),
        np.zeros(2 * CHUNK, dtype=np.float32),
        np.empty(2 * CHUNK, dtype=np.float32),
    )


@njit(parallel=True, fastmath=FAST, cache=True)
def compress_near_images(coefs, targets, weights, rotations, slopes, freqs, row_start, step, radius, gram, inner):
    """As `gather.compress_images`, with J channels more: the derivatives of the first one's image by its pose.

    coefs (M, 2, C + 3), the last three the moments of the first; gram (B, C + J, C + J) and inner (B, C + J) float64
    are overwritten. J is 5 with slopes (B, 0), and 6 with slopes (B, F), the last channel being slopes · u₀. Slices are
    taken apart into rows of a channel each, so that derivatives and products are sums over numbers side by side.
    """
    n_points, n_read, n_channels = freqs.shape[0], coefs.shape[2], gram.shape[1]
    limit2 = limit_of(radius, step)
    flat = coefs.reshape(-1)
    for b in prange(rotations.shape[0]):
        axes = axes_of(rotations[b], step)
        places, corner, slices, signs = _room(2 * n_read)
        rows = _rows(n_channels)
        parts, _, weight, target, weighted = rows
        gram[b] = 0
        inner[b] = 0
        for first in range(0, n_points, CHUNK):
            count = min(CHUNK, n_points - first)
            after = first + count
            _slice_chunk(flat, freqs, axes, row_start, limit2, first, count, places, corner, slices, signs)
            image = weights[b, first:after], targets[b, first:after], slopes[b, first:after], rotations[b]
            _fill_chunk(slices, signs, image, freqs[first:after], n_read - N_MOMENTS, rows)
            add_products(parts, weight, target, weighted, gram[b], inner[b])
        fill_upper(gram[b])


@njit(parallel=True, fastmath=FAST, cache=True)
def compress_images_apart(
    coefs, targets, weights, rotations, slopes, freqs, row_start, step, radius, gram, inner, shared, own, told
):
    """As `compress_near_images`, for C volumes, P more that are each looked at by themselves, and the moments.

    gram (B, C + J, C + J) and inner (B, C + J) leave out the P; shared (B, C + J, P) are their products with the
    others, own (B, P) each one's with itself and told (B, P) with the image. All float64, overwritten.

    Products with the P are sums of runs, eight rows of the others at a time.
    """
    n_points, n_read, n_rows, n_apart = freqs.shape[0], coefs.shape[2], gram.shape[1], own.shape[1]
    n_volumes, lots = n_read - N_MOMENTS - n_apart, (n_rows + 1 + 7) // 8
    limit2 = limit_of(radius, step)
    flat = coefs.reshape(-1)
    for b in prange(rotations.shape[0]):
        axes = axes_of(rotations[b], step)
        places, corner, slices, signs = _room(2 * n_read)
        rows = _rows(n_rows)
        parts, _, weight, target, weighted = rows
        factors = np.zeros((lots, 2 * CHUNK, 8), dtype=np.float32)
        products = np.zeros((lots * 8, n_apart), dtype=np.float32)
        squares, runs = np.zeros(n_apart, dtype=np.float32), slices.reshape(-1)
        starts, begins = np.arange(lots * 8) * n_apart, np.empty(2 * CHUNK, dtype=np.int64)
        for i in range(CHUNK):
            begins[i] = i * 2 * n_read + n_volumes
            begins[CHUNK + i] = begins[i] + n_read
        gram[b], inner[b], shared[b], own[b], told[b] = 0, 0, 0, 0, 0
        for first in range(0, n_points, CHUNK):
            count = min(CHUNK, n_points - first)
            after = first + count
            _slice_chunk(flat, freqs, axes, row_start, limit2, first, count, places, corner, slices, signs)
            image = weights[b, first:after], targets[b, first:after], slopes[b, first:after], rotations[b]
            _fill_chunk(slices, signs, image, freqs[first:after], n_volumes, rows)
            add_products(parts, weight, target, weighted, gram[b], inner[b])
            for row in range(n_rows):
                for i in range(2 * CHUNK):
                    factors[row // 8, i, row % 8] = weight[i] * parts[row, i]
            for i in range(2 * CHUNK):
                factors[n_rows // 8, i, n_rows % 8] = target[i]
            products[:] = 0
            for lot in range(lots):
                spread(products.reshape(-1), starts[8 * lot :], factors[lot], runs, begins, n_apart, 2 * CHUNK)
            squares[:] = 0
            for i in range(count):
                re, im = slices[i, n_volumes : n_volumes + n_apart], slices[i, n_read + n_volumes :]
                for p in range(n_apart):
                    squares[p] += weight[i] * (re[p] * re[p] + im[p] * im[p])
            for p in range(n_apart):
                own[b, p] += squares[p]
                told[b, p] += products[n_rows, p]
                for row in range(n_rows):
                    shared[b, row, p] += products[row, p]
        fill_upper(gram[b])


@njit(inline="always")
def _weigh_corrections(image, factor, kx, ky, rotation, by_real, by_imaginary):
    """What J times factor / 2πi weights the five corrections with, for the two parts as they are stored.

    image (2, 4): the slice of the volume and of its moments; factor: the sign of the conjugation times a weight.
    """
    real = _changes(image[0], image[1], image[2], image[3], kx, ky, rotation)
    imaginary = _changes(image[4], image[5], image[6], image[7], kx, ky, rotation)
    for j in range(N_PARAMETERS):
        by_real[j], by_imaginary[j] = factor * imaginary[j], -factor * real[j]


@njit(parallel=True, fastmath=FAST, cache=True)
def subtract_near(
    points,
    places,
    fractions,
    plane_start,
    bits,
    planes,
    moving,
    weights,
    corrections,
    rotations,
    slopes,
    freqs,
    row_start,
    flat,
):
    """flat[voxel] (2, C) −= interpolation weight · weights[b, f] · Σ_j corrections[b, j] · J_j, conjugated where the
    slice is.

    moving (M, 2, 4), corrections (B, J, C); slopes as of `compress_near_images`. Points come in the order of their
    places (`scatter.order_points`). The derivatives are read anew at the very voxels that are added to, which are at
    hand then: they are kept nowhere.
    """
    n_errors, n_channels, h = corrections.shape[1], corrections.shape[2], row_start.shape[0] // 2
    moved, added = moving.reshape(-1), corrections.reshape(-1)
    read, width = 2 * (1 + N_MOMENTS), 2 * n_channels
    for t in prange(len(planes) - 1):
        low, high = planes[t], planes[t + 1]
        share, rows = room_for_points()
        runs, image = np.empty((AT_ONCE, width), dtype=np.float32), np.empty(read, dtype=np.float32)
        source, starts = runs.reshape(-1), np.empty(8, dtype=np.int64)
        by_real, by_imaginary = np.empty(N_ERRORS, np.float32), np.empty(N_ERRORS, np.float32)
        for plane in range(max(low - 1, 0), high):
            stop = plane_start[plane + 1]
            for first in range(plane_start[plane], stop, AT_ONCE):
                after = min(first + AT_ONCE, stop)
                ask_for(weights, points, after, stop, bits)
                if n_errors == N_ERRORS:
                    ask_for(slopes, points, after, stop, bits)
                for i in range(after - first):
                    b, f = points[first + i] >> bits, points[first + i] & ((1 << bits) - 1)
                    place, fraction = places[first + i], fractions[first + i]
                    corner_weights(fraction[0], fraction[1], fraction[2], np.float32(1.0), share[i])
                    corner_starts(row_start, place[0], place[1], plane - h, read, starts)
                    blend(moved, starts, share[i], image, read)
                    keep_to(low, high, plane, share[i])
                    rows[i] = i * width
                    factor = -FULL_TURN * fraction[3] * weights[b, f]
                    _weigh_corrections(image, factor, freqs[f, 0], freqs[f, 1], rotations[b], by_real, by_imaginary)
                    if n_errors == N_ERRORS:
                        changed = -weights[b, f] * slopes[b, f]
                        by_real[N_PARAMETERS] = changed * image[0]
                        by_imaginary[N_PARAMETERS] = changed * image[1 + N_MOMENTS]
                    own, real, imaginary = b * n_errors * n_channels, runs[i], runs[i, n_channels:]
                    blend_pair(added, own, n_errors, by_real, by_imaginary, real, imaginary, n_channels)
                spread_cells(flat, row_start, low, high, plane, places[first:after], share, source, rows, width)
