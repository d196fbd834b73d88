"""Kernels that read slices from the half-sphere (numba). One thread serves an image, so results know no thread count.

Points are taken in chunks: first all places of a chunk are computed and their voxels asked for, then the voxels are
weighted. Fetching them one by one would leave the processor waiting for memory most of the time.
"""

import numpy as np
from numba import njit, prange

from .runs import add_scaled, blend, prefetch, scale
from .trilinear import FAST, axes_of, corner_starts, corner_weights, limit_of, locate

CHUNK = 32


@njit(inline="always")
def _slice_chunk(flat, freqs, axes, row_start, limit2, first, count, room, weights, slices, signs):
    """slices[i] (2C) = every channel at point first + i, its imaginary part still to be multiplied by signs[i]."""
    width = slices.shape[1]
    place, fraction, starts = room
    for i in range(count):
        x, y, z, fx, fy, fz, sign, inside = locate(freqs[first + i, 0], freqs[first + i, 1], axes, limit2)
        here = np.int32(1) if inside else np.int32(0)
        place[0, i], place[1, i], place[2, i] = here * x, here * y, here * z
        fraction[0, i], fraction[1, i], fraction[2, i], fraction[3, i] = fx, fy, fz, np.float32(here)
        signs[i] = sign
    for i in range(count):
        corner_starts(row_start, place[0, i], place[1, i], place[2, i], width, starts[i])
        corner_weights(fraction[0, i], fraction[1, i], fraction[2, i], fraction[3, i], weights[i])
        for corner in range(0, 8, 2):
            prefetch(flat, starts[i, corner], 2 * width)
    for i in range(count):
        blend(flat, starts[i], weights[i], slices[i], width)


@njit(inline="always")
def _room(width):
    """Scratch of one thread: of places, of weights, slices, signs."""
    of_places = (
        np.empty((3, CHUNK), dtype=np.int32),
        np.empty((4, CHUNK), dtype=np.float32),
        np.empty((CHUNK, 8), dtype=np.int64),
    )
    return (
        of_places,
        np.empty((CHUNK, 8), dtype=np.float32),
        np.empty((CHUNK, width), dtype=np.float32),
        np.empty(CHUNK, dtype=np.float32),
    )


@njit(parallel=True, fastmath=FAST, cache=True)
def project_weighted(coefs, amplitudes, rotations, freqs, row_start, step, radius, out):
    """out[b, f] = Σ_c amplitudes[b, c] · slice of channel c. coefs (M, 2, C), out (B, F) complex64."""
    n_images, n_points, n_channels = rotations.shape[0], freqs.shape[0], coefs.shape[2]
    limit2 = limit_of(radius, step)
    flat = coefs.reshape(-1)
    for b in prange(n_images):
        axes, s = axes_of(rotations[b], step), amplitudes[b]
        places, weights, slices, signs = _room(2 * n_channels)
        for first in range(0, n_points, CHUNK):
            count = min(CHUNK, n_points - first)
            _slice_chunk(flat, freqs, axes, row_start, limit2, first, count, places, weights, slices, signs)
            for i in range(count):
                re, im = slices[i, :n_channels], slices[i, n_channels:]
                total_re, total_im = np.float32(0.0), np.float32(0.0)
                for c in range(n_channels):
                    total_re += s[c] * re[c]
                    total_im += s[c] * im[c]
                out[b, first + i] = complex(total_re, signs[i] * total_im)


@njit(parallel=True, fastmath=FAST, cache=True)
def project_channels(coefs, rotations, freqs, row_start, step, radius, out):
    """out[b, f, :, c] = slice of channel c, real and imaginary part. out (B, F, 2, C) float32."""
    n_images, n_points, n_channels = rotations.shape[0], freqs.shape[0], coefs.shape[2]
    limit2 = limit_of(radius, step)
    flat = coefs.reshape(-1)
    for b in prange(n_images):
        axes = axes_of(rotations[b], step)
        # What a point has of all channels is one run: it is made where it is wanted.
        runs = out[b].reshape(n_points, 2 * n_channels)
        places, weights, _, signs = _room(2 * n_channels)
        for first in range(0, n_points, CHUNK):
            count = min(CHUNK, n_points - first)
            slices = runs[first : first + count]
            _slice_chunk(flat, freqs, axes, row_start, limit2, first, count, places, weights, slices, signs)
            for i in range(count):
                if signs[i] < 0:
                    scale(np.float32(-1.0), slices[i, n_channels:], slices[i, n_channels:], n_channels)


@njit(parallel=True, fastmath=FAST, cache=True)
def amplitude_gradients(grad, coefs, rotations, freqs, row_start, step, radius, out):
    """Gradient of `project_weighted` in the amplitudes, out (B, C) overwritten.

    grad : (B, F) complex64, the loss's derivative by the real part plus i times that by the imaginary part.
    """
    n_images, n_points, n_channels = rotations.shape[0], freqs.shape[0], coefs.shape[2]
    limit2 = limit_of(radius, step)
    flat = coefs.reshape(-1)
    for b in prange(n_images):
        axes = axes_of(rotations[b], step)
        places, weights, slices, signs = _room(2 * n_channels)
        total = np.zeros(n_channels, dtype=np.float32)
        for first in range(0, n_points, CHUNK):
            count = min(CHUNK, n_points - first)
            _slice_chunk(flat, freqs, axes, row_start, limit2, first, count, places, weights, slices, signs)
            for i in range(count):
                value = grad[b, first + i]
                add_scaled(value.real, slices[i], total, n_channels)
                add_scaled(signs[i] * value.imag, slices[i, n_channels:], total, n_channels)
        out[b] = total


@njit(parallel=True, fastmath=FAST, cache=True)
def rotation_gradients(grad, coefs, amplitudes, rotations, freqs, row_start, step, radius, out):
    """Gradient of `project_weighted` in the rotations, out (B, 3, 3) overwritten; grad as in `amplitude_gradients`."""
    n_images, n_points, n_channels = rotations.shape[0], freqs.shape[0], coefs.shape[2]
    width = 2 * n_channels
    limit2 = limit_of(radius, step)
    flat = coefs.reshape(-1)
    for b in prange(n_images):
        axes, s = axes_of(rotations[b], step), amplitudes[b]
        total = np.zeros((2, 3), dtype=np.float64)
        starts = np.empty(8, dtype=np.int64)
        corners = np.empty(8, dtype=np.float32)
        weighted = np.empty(width, dtype=np.float32)
        for f in range(n_points):
            x, y, z, fx, fy, fz, sign, inside = locate(freqs[f, 0], freqs[f, 1], axes, limit2)
            if not inside:
                continue
            corner_starts(row_start, x, y, z, width, starts)
            scale(grad[b, f].real, s, weighted, n_channels)
            scale(sign * grad[b, f].imag, s, weighted[n_channels:], n_channels)
            for i in range(8):
                run = flat[starts[i] : starts[i] + width]
                product = np.float32(0.0)
                for c in range(width):
                    product += run[c] * weighted[c]
                corners[i] = product
            dx, dy, dz = _slopes(corners, fx, fy, fz)
            kx, ky = freqs[f, 0] * step * sign, freqs[f, 1] * step * sign
            total[0, 0] += kx * dx
            total[0, 1] += kx * dy
            total[0, 2] += kx * dz
            total[1, 0] += ky * dx
            total[1, 1] += ky * dy
            total[1, 2] += ky * dz
        out[b, :2] = total
        out[b, 2] = 0


@njit(inline="always")
def _slopes(v, fx, fy, fz):
    """Derivatives of the trilinear interpolant of eight corner values (x fastest) by the fractions."""
    gx, gy, gz = 1 - fx, 1 - fy, 1 - fz
    dx = ((v[1] - v[0]) * gy + (v[3] - v[2]) * fy) * gz + ((v[5] - v[4]) * gy + (v[7] - v[6]) * fy) * fz
    dy = ((v[2] - v[0]) * gx + (v[3] - v[1]) * fx) * gz + ((v[6] - v[4]) * gx + (v[7] - v[5]) * fx) * fz
    dz = ((v[4] - v[0]) * gx + (v[5] - v[1]) * fx) * gy + ((v[6] - v[2]) * gx + (v[7] - v[3]) * fx) * fy
    return dx, dy, dz


@njit(inline="always")
def add_products(parts, weight, target, weighted, gram, inner):
    """Add one chunk to the lower triangle of gram (C, C) and to inner (C).

    parts (C, 2 CHUNK) hold the real and imaginary parts of every channel in the order in which weight and target
    (2 CHUNK) hold theirs; weighted (2 CHUNK) is scratch. A row is weighted once for all rows before it.
    """
    for i in range(parts.shape[0]):
        product = np.float32(0.0)
        for k in range(2 * CHUNK):
            product += parts[i, k] * target[k]
            weighted[k] = parts[i, k] * weight[k]
        inner[i] += product
        for j in range(i + 1):
            product = np.float32(0.0)
            for k in range(2 * CHUNK):
                product += weighted[k] * parts[j, k]
            gram[i, j] += product


@njit(inline="always")
def fill_upper(gram):
    """Copy the lower triangle of gram (C, C) to the upper one."""
    for i in range(gram.shape[0]):
        for j in range(i):
            gram[j, i] = gram[i, j]


@njit(parallel=True, fastmath=FAST, cache=True)
def compress_images(coefs, targets, weights, rotations, freqs, row_start, step, radius, gram, inner):
    """What a linear decoder needs to know of each image (eq. 7): gram[b] = Σ_f w Re(u* uᵀ), inner[b] = Σ_f Re(u* t).

    u (C) are the slices of all channels at coefficient f; targets (B, F) complex64 and weights (B, F) float32 already
    hold CTF, noise and multiplicity. gram (B, C, C) and inner (B, C) float64 are overwritten. Products are summed in
    float32 over a chunk of coefficients, in float64 over chunks.
    """
    n_images, n_points, n_channels = rotations.shape[0], freqs.shape[0], coefs.shape[2]
    limit2 = limit_of(radius, step)
    flat = coefs.reshape(-1)
    for b in prange(n_images):
        axes = axes_of(rotations[b], step)
        places, corner, slices, signs = _room(2 * n_channels)
        parts = np.zeros((n_channels, 2 * CHUNK), dtype=np.float32)
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
                for c in range(n_channels):
                    parts[c, 2 * i] = slices[i, c]
                    parts[c, 2 * i + 1] = slices[i, n_channels + c]
                weight[2 * i] = weight[2 * i + 1] = weights[b, first + i]
                target[2 * i] = targets[b, first + i].real
                target[2 * i + 1] = signs[i] * targets[b, first + i].imag
            add_products(parts, weight, target, weighted, gram[b], inner[b])
        fill_upper(gram[b])
