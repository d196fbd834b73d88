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
from .runs import blend, blend_pair
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


@njit(parallel=True, fastmath=FAST, cache=True)
def compress_near_images(coefs, targets, weights, rotations, slopes, freqs, row_start, step, radius, gram, inner):
    """As `gather.compress_images`, with J channels more: the derivatives of the first one's image by its pose.

    coefs (M, 2, C + 3), the last three the moments of the first; gram (B, C + J, C + J) and inner (B, C + J) float64
    are overwritten. J is 5 with slopes (B, 0), and 6 with slopes (B, F), the last channel being slopes · u₀. Slices are
    taken apart into rows of a channel each, so that derivatives and products are sums over numbers side by side.
    """
    n_points, n_read = freqs.shape[0], coefs.shape[2]
    n_volumes = n_read - N_MOMENTS
    n_channels = gram.shape[1]
    with_defocus = n_channels == n_volumes + N_ERRORS
    limit2 = limit_of(radius, step)
    flat = coefs.reshape(-1)
    for b in prange(rotations.shape[0]):
        axes = axes_of(rotations[b], step)
        places, corner, slices, signs = _room(2 * n_read)
        parts = np.zeros((n_channels, 2 * CHUNK), dtype=np.float32)
        moments = np.empty((N_MOMENTS, 2 * CHUNK), dtype=np.float32)
        weight = np.zeros(2 * CHUNK, dtype=np.float32)
        target = np.zeros(2 * CHUNK, dtype=np.float32)
        weighted = np.empty(2 * CHUNK, dtype=np.float32)
        gram[b] = 0
        inner[b] = 0
        for first in range(0, n_points, CHUNK):
            count = min(CHUNK, n_points - first)
            _slice_chunk(flat, freqs, axes, row_start, limit2, first, count, places, corner, slices, signs)
            if count < CHUNK:
                weight[:] = 0
                target[:] = 0
            for i in range(count):
                for c in range(n_volumes):
                    parts[c, i], parts[c, CHUNK + i] = slices[i, c], slices[i, n_read + c]
                for d in range(N_MOMENTS):
                    moments[d, i] = slices[i, n_volumes + d]
                    moments[d, CHUNK + i] = slices[i, n_read + n_volumes + d]
                weight[i] = weight[CHUNK + i] = weights[b, first + i]
                target[i], target[CHUNK + i] = targets[b, first + i].real, signs[i] * targets[b, first + i].imag
            _fill_jacobian(parts, n_volumes, moments, rotations[b], freqs[first : first + count], signs)
            if with_defocus:
                for i in range(count):
                    slope = slopes[b, first + i]
                    parts[n_channels - 1, i] = slope * parts[0, i]
                    parts[n_channels - 1, CHUNK + i] = slope * parts[0, CHUNK + i]
            add_products(parts, weight, target, weighted, gram[b], inner[b])
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
