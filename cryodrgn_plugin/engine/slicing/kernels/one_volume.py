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
from .runs import blend_rows, prefetch
from .trilinear import FAST, axes_of, limit_of

CHUNK = 64


@njit(inline="always")
def _find_rows(kx, ky, axes, limit2, table, width, entries, rows, corners, fractions, signs):
    """Where the four rows around each of n points begin, (4, n), and their weights, (4, n).

    Parameters
    ----------
    kx, ky : (n,) frequencies.
    table : (width²,) where the row of each (z, y) begins, in numbers.
    entries : (2, n), overwritten: entry of the table, and number along the row.
    fractions, signs : (n,), overwritten: how far a point lies along x between two voxels; sign of the imaginary part, 0
        outside the frequency limit.
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
        fractions[i], signs[i] = x - np.float32(np.int32(x)), sign
        fy, fz = y - np.float32(np.int32(y)), z - np.float32(np.int32(z))
        gy, gz = one - fy, sign * sign - sign * sign * fz
        corners[0, i], corners[1, i] = gy * gz, fy * gz
        corners[2, i], corners[3, i] = gy * fz * sign * sign, fy * fz * sign * sign
    for i in range(kx.shape[0]):
        entry, along = np.uint32(entries[0, i]), entries[1, i]
        rows[0, i] = table[entry] + along
        rows[1, i] = table[entry + np.uint32(1)] + along
        rows[2, i] = table[entry + np.uint32(width)] + along
        rows[3, i] = table[entry + np.uint32(width + 1)] + along


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


@njit(parallel=True, fastmath=FAST, cache=True)
def match_one_volume(
    coefs, targets, weights, rotations, centres, waves, indices, freqs, row_start, step, radius, gram, inner
):
    """As `matching.match_poses` with C = 1, but waves (2, T, F) and freqs (2, F). Candidates that follow one another
    with the same centre cost less.
    """
    n_points, width = freqs.shape[1], row_start.shape[0]
    half_width, limit2 = int(math.ceil(radius)), limit_of(radius, step)
    flat, table = coefs.reshape(-1), 2 * row_start.reshape(-1)
    for b in prange(rotations.shape[0]):
        entries, rows = np.empty((2, CHUNK), np.int32), np.empty((4, CHUNK), np.int32)
        corners, fractions = np.empty((4, CHUNK), np.float32), np.empty(CHUNK, np.float32)
        signs, slices = np.empty(CHUNK, np.float32), np.empty((2, CHUNK), np.float32)
        products, moved = np.empty((2, CHUNK), np.float32), np.empty((2, n_points), np.float32)
        along_x, along_y = np.empty((half_width + 1, 2), np.float32), np.empty((2 * half_width + 1, 2), np.float32)
        for p in range(rotations.shape[1]):
            axes, norm = axes_of(rotations[b, p], step), np.float32(0.0)
            if p == 0 or not np.array_equal(centres[b, p], centres[b, p - 1]):
                _move_back(targets[b], centres[b, p], indices, along_x, along_y, moved)
            inner[b, p] = 0
            for first in range(0, n_points, CHUNK):
                last = min(first + CHUNK, n_points)
                x, y = freqs[0, first:last], freqs[1, first:last]
                _find_rows(x, y, axes, limit2, table, width, entries, rows, corners, fractions, signs)
                for i in range(last - first):
                    for row in range(4):
                        prefetch(flat, rows[row, i], 4)
                for i in range(last - first):
                    slices[0, i], im = blend_rows(flat, rows, corners, fractions[i], i)
                    slices[1, i] = signs[i] * im
                y_re, y_im = moved[0, first:last], moved[1, first:last]
                norm += _products(slices, y_re, y_im, weights[b, first:last], products)
                for t in range(waves.shape[1]):
                    inner[b, p, 0, t] += _sum(products, waves[0, t, first:last], waves[1, t, first:last])
            gram[b, p, 0] = norm
