"""Images compared with slices of one volume at poses of their own: pose search's kernel for C = 1 (numba).

Of one volume two neighbouring voxels along x are four numbers side by side, so the eight corners of a point are four
short rows, blended as vectors. The rest of the work is laid out coefficient by coefficient in arrays of a chunk, where
the compiler makes vectors of it. `matching.match_poses` is the plain kernel for any number of volumes, which this one
equals. One thread serves an image.
"""

import math

import numpy as np
from numba import njit, prange

from .matching import _wave_tables
from .runs import between_rows, fold_rows, prefetch
from .trilinear import FAST, axes_of, limit_of

CHUNK = 64
EIGHT = 8
"""Points of which `fold_rows` makes slices at once."""
NEAR = 1 << 19
"""A volume of so many numbers stays in a cache of 2 MB. Voxels of a larger one are asked for before they are read."""


@njit(inline="always")
def _find_rows(kx, ky, axes, limit2, width, entries, places):
    """Where n points lie.

    Parameters
    ----------
    kx, ky : (n,) frequencies.
    entries : (2, CHUNK) int32, overwritten: entry, in a table (width²,) of all rows, of the (z, y) below each point,
        and number along the row.
    places : (4, CHUNK), overwritten: how far a point lies along x, y and z between two voxels, and the sign of the
        imaginary part, 0 outside the frequency limit.
    """
    middle, one, none = np.float32(width // 2), np.float32(1.0), np.float32(0.0)
    for i in range(kx.shape[0]):
        x = kx[i] * axes[0] + ky[i] * axes[3]
        y = kx[i] * axes[1] + ky[i] * axes[4]
        z = kx[i] * axes[2] + ky[i] * axes[5]
        sign = one if x >= none else -one
        sign = sign if x * x + y * y + z * z <= limit2 else none
        x, y, z = x * sign, y * sign + middle, z * sign + middle
        entries[0, i] = np.int32(z) * np.int32(width) + np.int32(y)
        entries[1, i] = 2 * np.int32(x)
        places[0, i], places[1, i] = x - np.float32(np.int32(x)), y - np.float32(np.int32(y))
        places[2, i], places[3, i] = z - np.float32(np.int32(z)), sign


@njit(inline="always")
def _ask_for_rows(flat, table, width, entries, count):
    """Have the four rows around each of `count` points fetched."""
    for i in range(count):
        entry, along = np.uint32(entries[0, i]), entries[1, i]
        prefetch(flat, table[entry] + along, 4)
        prefetch(flat, table[entry + np.uint32(1)] + along, 4)
        prefetch(flat, table[entry + np.uint32(width)] + along, 4)
        prefetch(flat, table[entry + np.uint32(width + 1)] + along, 4)


@njit(inline="always")
def _move_back(image, shift, indices, along_x, along_y, moved):
    """moved (2, F) = real and imaginary parts of image · e^{2πi k·shift}."""
    half_width = along_x.shape[0] - 1
    _wave_tables(shift[0], shift[1], half_width, along_x, along_y)
    for f in range(indices.shape[0]):
        x, y = along_x[indices[f, 0]], along_y[half_width + indices[f, 1]]
        cosine, sine = x[0] * y[0] - x[1] * y[1], x[0] * y[1] + x[1] * y[0]
        moved[0, f] = image[f].real * cosine - image[f].imag * sine
        moved[1, f] = image[f].real * sine + image[f].imag * cosine


@njit(inline="always")
def _products(slices, y_re, y_im, weights, products):
    """products (2, n) = real and imaginary parts of u* y; gives Σ w |u|². slices (2, n) are u."""
    norm = np.float32(0.0)
    for i in range(weights.shape[0]):
        products[0, i] = slices[0, i] * y_re[i] + slices[1, i] * y_im[i]
        products[1, i] = slices[0, i] * y_im[i] - slices[1, i] * y_re[i]
        norm += weights[i] * (slices[0, i] * slices[0, i] + slices[1, i] * slices[1, i])
    return norm


@njit(inline="always")
def _sum(products, cosines, sines):
    total = np.float32(0.0)
    for i in range(cosines.shape[0]):
        total += products[0, i] * cosines[i] + products[1, i] * sines[i]
    return total


@njit(inline="always")
def _three_sums(products, waves, t, first, last):
    """`_sum` for the waves t, t + 1 and t + 2: products are read once for all."""
    cosine0, cosine1, cosine2 = waves[0, t, first:last], waves[0, t + 1, first:last], waves[0, t + 2, first:last]
    sine0, sine1, sine2 = waves[1, t, first:last], waves[1, t + 1, first:last], waves[1, t + 2, first:last]
    sum0, sum1, sum2 = np.float32(0.0), np.float32(0.0), np.float32(0.0)
    for i in range(last - first):
        re, im = products[0, i], products[1, i]
        sum0 += re * cosine0[i] + im * sine0[i]
        sum1 += re * cosine1[i] + im * sine1[i]
        sum2 += re * cosine2[i] + im * sine2[i]
    return sum0, sum1, sum2


@njit(inline="always")
def _add_sums(products, waves, first, last, totals):
    """totals (T,) += Σ_f Re(products · waves) of the coefficients `first` to `last` − 1."""
    t, n_waves = 0, waves.shape[1]
    while t + 3 <= n_waves:
        sum0, sum1, sum2 = _three_sums(products, waves, t, first, last)
        totals[t] += sum0
        totals[t + 1] += sum1
        totals[t + 2] += sum2
        t += 3
    while t < n_waves:
        totals[t] += _sum(products, waves[0, t, first:last], waves[1, t, first:last])
        t += 1


@njit(parallel=True, fastmath=FAST, cache=True)
def match_one_volume(
    coefs, targets, weights, rotations, centres, waves, indices, freqs, row_start, step, radius, gram, inner
):
    """As `matching.match_poses` with C = 1, but waves (2, T, F) and freqs (2, F). Candidates that follow one another
    with the same centre cost less.
    """
    n_points, width = freqs.shape[1], row_start.shape[0]
    half_width, limit2 = int(math.ceil(radius)), limit_of(radius, step)
    flat, table = coefs.reshape(-1), np.int32(2) * row_start.reshape(-1)
    for b in prange(rotations.shape[0]):
        entries, places = np.zeros((2, CHUNK), np.int32), np.zeros((4, CHUNK), np.float32)
        rows, slices = np.zeros((CHUNK, 4), np.float32), np.empty((2, CHUNK), np.float32)
        products, moved = np.empty((2, CHUNK), np.float32), np.empty((2, n_points), np.float32)
        along_x, along_y = np.empty((half_width + 1, 2), np.float32), np.empty((2 * half_width + 1, 2), np.float32)
        for p in range(rotations.shape[1]):
            axes = axes_of(rotations[b, p], step)
            if p == 0 or not np.array_equal(centres[b, p], centres[b, p - 1]):
                _move_back(targets[b], centres[b, p], indices, along_x, along_y, moved)
            gram[b, p], inner[b, p] = 0, 0
            for first in range(0, n_points, CHUNK):
                last = min(first + CHUNK, n_points)
                _find_rows(freqs[0, first:last], freqs[1, first:last], axes, limit2, width, entries, places)
                if len(flat) > NEAR:
                    _ask_for_rows(flat, table, width, entries, last - first)
                for i in range(last - first):
                    between_rows(flat, table, width, entries, places, i, CHUNK, rows)
                for i in range(0, last - first, EIGHT):
                    fold_rows(rows, places, i, CHUNK, slices)
                y_re, y_im = moved[0, first:last], moved[1, first:last]
                gram[b, p, 0] += _products(slices, y_re, y_im, weights[b, first:last], products)
                _add_sums(products, waves, first, last, inner[b, p, 0])
