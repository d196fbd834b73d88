"""Kernels of pose search: images compared with slices at poses of their own (numba). One thread serves an image."""

import math

import numpy as np
from numba import njit, prange

from .gather import CHUNK, _room, _slice_chunk
from .trilinear import FAST, axes_of, limit_of


@njit(inline="always")
def _wave_tables(shift_x, shift_y, half_width, along_x, along_y):
    """e^{2πi k·shift} of whole frequencies: along_x (H + 1, 2) from 0, along_y (2H + 1, 2) from −H."""
    for k in range(half_width + 1):
        angle = 2 * math.pi * k * shift_x
        along_x[k, 0], along_x[k, 1] = math.cos(angle), math.sin(angle)
        angle = 2 * math.pi * k * shift_y
        along_y[half_width + k, 0], along_y[half_width + k, 1] = math.cos(angle), math.sin(angle)
        along_y[half_width - k, 0], along_y[half_width - k, 1] = math.cos(angle), -math.sin(angle)


@njit(parallel=True, fastmath=FAST, cache=True)
def match_poses(
    coefs, targets, weights, rotations, centres, waves, indices, freqs, row_start, step, radius, gram, inner
):
    """What a linear model needs to know of each image at each of its candidate poses.

    Parameters
    ----------
    coefs : (M, 2, C). Volumes on the half-sphere.
    targets, weights : (B, F) complex64 and float32, with CTF, noise and multiplicity; not moved.
    rotations : (B, P, 3, 3) float32.
    centres : (B, P, 2) float32. Shift of each candidate in boxes; the image is moved back by it.
    waves : (F, 2, T) float32. cos and −sin of 2π k·δ for T further shifts δ, common to all candidates.
    indices : (F, 2) int32; freqs (F, 2) float32, the same.
    gram : (B, P, C(C + 1)/2) float32, overwritten: Σ_f w Re(u_i* u_j), lower triangle by rows.
    inner : (B, P, C, T) float32, overwritten: Σ_f Re(u* t e^{2πi k·(centre + δ)}).
    """
    n_images, n_candidates = rotations.shape[0], rotations.shape[1]
    n_points, n_channels, n_waves = freqs.shape[0], coefs.shape[2], waves.shape[2]
    half_width = int(math.ceil(radius))
    limit2 = limit_of(radius, step)
    flat = coefs.reshape(-1)
    for b in prange(n_images):
        places, corner, slices, signs = _room(2 * n_channels)
        along_x = np.empty((half_width + 1, 2), dtype=np.float32)
        along_y = np.empty((2 * half_width + 1, 2), dtype=np.float32)
        norms = np.empty(gram.shape[2], dtype=np.float32)
        sums = np.empty((n_channels, n_waves), dtype=np.float32)
        for p in range(n_candidates):
            axes = axes_of(rotations[b, p], step)
            _wave_tables(centres[b, p, 0], centres[b, p, 1], half_width, along_x, along_y)
            norms[:] = 0
            sums[:] = 0
            for first in range(0, n_points, CHUNK):
                count = min(CHUNK, n_points - first)
                _slice_chunk(flat, freqs, axes, row_start, limit2, first, count, places, corner, slices, signs)
                for i in range(count):
                    f = first + i
                    x, y = along_x[indices[f, 0]], along_y[half_width + indices[f, 1]]
                    cosine, sine = x[0] * y[0] - x[1] * y[1], x[0] * y[1] + x[1] * y[0]
                    target = targets[b, f]
                    re = target.real * cosine - target.imag * sine
                    im = (target.real * sine + target.imag * cosine) * signs[i]
                    pair = 0
                    for c in range(n_channels):
                        u_re, u_im = slices[i, c], slices[i, n_channels + c]
                        product_re = u_re * re + u_im * im
                        product_im = (u_re * im - u_im * re) * signs[i]
                        for t in range(n_waves):
                            sums[c, t] += product_re * waves[f, 0, t] + product_im * waves[f, 1, t]
                        for d in range(c + 1):
                            norms[pair] += weights[b, f] * (u_re * slices[i, d] + u_im * slices[i, n_channels + d])
                            pair += 1
            gram[b, p] = norms
            inner[b, p] = sums


@njit(parallel=True, cache=True)
def log_evidence(gram, inner, out):
    """Log-likelihood of images with the amplitudes of the bases integrated out over N(0, I).

    gram (N, C(C + 1)/2) and inner (N, C, T) as `match_poses` leaves them, channel 0 the mean with amplitude 1;
    out (N, T) overwritten: b₀ − ½A₀₀ + ½ rᵀ(A + 1)⁻¹r − ½ log det(A + 1), r = b − A₀.
    """
    n_channels, n_shifts = inner.shape[1], inner.shape[2]
    n_bases = n_channels - 1
    for n in prange(len(gram)):
        # The diagonal is kept as its inverse; the shifts stand side by side, so that every sum is one of vectors.
        low, white, value = np.zeros((n_bases, n_bases)), np.empty((n_bases, n_shifts)), np.empty(n_shifts)
        log_det = 0.0
        for i in range(n_bases):
            row = (i + 1) * (i + 2) // 2 + 1
            for j in range(i + 1):
                total = float(gram[n, row + j])
                if i == j:
                    total += 1.0
                for p in range(j):
                    total -= low[i, p] * low[j, p]
                low[i, j] = 1 / math.sqrt(max(total, 1e-30)) if i == j else total * low[j, j]
            log_det -= math.log(low[i, i])
        for t in range(n_shifts):
            value[t] = inner[n, 0, t] - 0.5 * gram[n, 0] - log_det
        for i in range(n_bases):
            own, with_mean = white[i], gram[n, (i + 1) * (i + 2) // 2]
            for t in range(n_shifts):
                own[t] = inner[n, i + 1, t] - with_mean
            for p in range(i):
                taken, factor = white[p], low[i, p]
                for t in range(n_shifts):
                    own[t] -= factor * taken[t]
            for t in range(n_shifts):
                own[t] *= low[i, i]
                value[t] += 0.5 * own[t] * own[t]
        for t in range(n_shifts):
            out[n, t] = value[t]
