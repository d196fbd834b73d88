"""Fused slicing kernels for the CPU (numba).

Floors, per image of F coefficients with C channels: the gather reads 8 · 2C floats per coefficient, so at D = 128 (F ≈
6,300) and C = 17 that is 6.8 MB; at 10 GB/s and core, 0.7 ms. Scatter kernels read and write the same amount.

Work is shared between threads by image where threads only read, and by row of the half-sphere where they write: every
thread walks all images and writes only rows whose kz it owns. Sums therefore have one order whatever the thread count
or timing. `threads` is the number of such shares, normally `numba.get_num_threads()`.
"""

import math

import numpy as np
from numba import njit, prange

FAST = {"contract", "reassoc", "nsz", "arcp"}  # not "nnan": a NaN image must stay visible


@njit(inline="always")
def _place(kx, ky, rotation, step, limit2):
    """Grid position of a coefficient: base voxel, fractions, sign of the conjugation, and whether it is inside."""
    qx = (kx * rotation[0, 0] + ky * rotation[1, 0]) * step
    qy = (kx * rotation[0, 1] + ky * rotation[1, 1]) * step
    qz = (kx * rotation[0, 2] + ky * rotation[1, 2]) * step
    inside = qx * qx + qy * qy + qz * qz <= limit2
    sign = np.float32(1.0)
    if qx < 0:
        qx, qy, qz, sign = -qx, -qy, -qz, np.float32(-1.0)
    x0, y0, z0 = math.floor(qx), math.floor(qy), math.floor(qz)
    return int(x0), int(y0), int(z0), np.float32(qx - x0), np.float32(qy - y0), np.float32(qz - z0), sign, inside


@njit(parallel=True, fastmath=FAST, cache=True)
def project_weighted(coefs, amplitudes, rotations, freqs, row_start, step, radius, out):
    """out[b, f] = Σ_c amplitudes[b, c] · slice of channel c. coefs (M, 2, C), out (B, F) complex64."""
    n_images, n_points, n_channels = rotations.shape[0], freqs.shape[0], coefs.shape[2]
    h = row_start.shape[0] // 2
    limit2 = (radius * step) ** 2 * (1 + 1e-5)
    for b in prange(n_images):
        s = amplitudes[b]
        for f in range(n_points):
            x0, y0, z0, fx, fy, fz, sign, inside = _place(freqs[f, 0], freqs[f, 1], rotations[b], step, limit2)
            re, im = np.float32(0.0), np.float32(0.0)
            if inside:
                for corner in range(4):
                    dy, dz = corner & 1, corner >> 1
                    wy = fy if dy else 1 - fy
                    wz = fz if dz else 1 - fz
                    m = row_start[z0 + dz + h, y0 + dy + h] + x0
                    w0, w1 = (1 - fx) * wy * wz, fx * wy * wz
                    r, i = np.float32(0.0), np.float32(0.0)
                    for c in range(n_channels):
                        r += s[c] * (w0 * coefs[m, 0, c] + w1 * coefs[m + 1, 0, c])
                        i += s[c] * (w0 * coefs[m, 1, c] + w1 * coefs[m + 1, 1, c])
                    re += r
                    im += i
            out[b, f] = complex(re, sign * im)


@njit(parallel=True, fastmath=FAST, cache=True)
def project_channels(coefs, rotations, freqs, row_start, step, radius, out):
    """out[b, f, :, c] = slice of channel c, real and imaginary part. out (B, F, 2, C) float32."""
    n_images, n_points, n_channels = rotations.shape[0], freqs.shape[0], coefs.shape[2]
    h = row_start.shape[0] // 2
    limit2 = (radius * step) ** 2 * (1 + 1e-5)
    for b in prange(n_images):
        for f in range(n_points):
            x0, y0, z0, fx, fy, fz, sign, inside = _place(freqs[f, 0], freqs[f, 1], rotations[b], step, limit2)
            target = out[b, f]
            target[:] = 0
            if not inside:
                continue
            for corner in range(4):
                dy, dz = corner & 1, corner >> 1
                wy = fy if dy else 1 - fy
                wz = fz if dz else 1 - fz
                m = row_start[z0 + dz + h, y0 + dy + h] + x0
                w0, w1 = (1 - fx) * wy * wz, fx * wy * wz
                for c in range(n_channels):
                    target[0, c] += w0 * coefs[m, 0, c] + w1 * coefs[m + 1, 0, c]
                    target[1, c] += sign * (w0 * coefs[m, 1, c] + w1 * coefs[m + 1, 1, c])


@njit(parallel=True, fastmath=FAST, cache=True)
def scatter_weighted(values, amplitudes, rotations, freqs, row_start, step, radius, out, threads):
    """The adjoint of `project_weighted` in the coefficients: out (M, 2, C) += interpolation weight · amplitude · value.

    values : (B, F) complex64. `out` still needs `HalfSphere.symmetrize(total=True)`.
    """
    n_images, n_points, n_channels = rotations.shape[0], freqs.shape[0], out.shape[2]
    h = row_start.shape[0] // 2
    limit2 = (radius * step) ** 2 * (1 + 1e-5)
    for t in prange(threads):
        for b in range(n_images):
            s = amplitudes[b]
            for f in range(n_points):
                x0, y0, z0, fx, fy, fz, sign, inside = _place(freqs[f, 0], freqs[f, 1], rotations[b], step, limit2)
                if not inside:
                    continue
                re, im = values[b, f].real, sign * values[b, f].imag
                for dz in range(2):
                    if (z0 + dz + h) % threads != t:
                        continue
                    wz = fz if dz else 1 - fz
                    for dy in range(2):
                        w = (fy if dy else 1 - fy) * wz
                        m = row_start[z0 + dz + h, y0 + dy + h] + x0
                        r0, i0 = (1 - fx) * w * re, (1 - fx) * w * im
                        r1, i1 = fx * w * re, fx * w * im
                        for c in range(n_channels):
                            out[m, 0, c] += r0 * s[c]
                            out[m, 1, c] += i0 * s[c]
                            out[m + 1, 0, c] += r1 * s[c]
                            out[m + 1, 1, c] += i1 * s[c]


@njit(parallel=True, fastmath=FAST, cache=True)
def scatter_moments(weights, moments, rotations, freqs, row_start, step, radius, out, threads):
    """Accumulate out[m, :] += interpolation weight · weights[b, f] · moments[b, :].

    The left side of the normal equations (F1): weights (B, F) are CTF²/σ², moments (B, T) the packed E[s sᵀ].
    `out` (M, T) still needs `HalfSphere.symmetrize_real`.
    """
    n_images, n_points, n_terms = rotations.shape[0], freqs.shape[0], out.shape[1]
    h = row_start.shape[0] // 2
    limit2 = (radius * step) ** 2 * (1 + 1e-5)
    for t in prange(threads):
        for b in range(n_images):
            s = moments[b]
            for f in range(n_points):
                x0, y0, z0, fx, fy, fz, _, inside = _place(freqs[f, 0], freqs[f, 1], rotations[b], step, limit2)
                if not inside:
                    continue
                value = weights[b, f]
                for dz in range(2):
                    if (z0 + dz + h) % threads != t:
                        continue
                    wz = (fz if dz else 1 - fz) * value
                    for dy in range(2):
                        w = (fy if dy else 1 - fy) * wz
                        m = row_start[z0 + dz + h, y0 + dy + h] + x0
                        w0, w1 = (1 - fx) * w, fx * w
                        for c in range(n_terms):
                            out[m, c] += w0 * s[c]
                            out[m + 1, c] += w1 * s[c]


@njit(parallel=True, fastmath=FAST, cache=True)
def gather_gradients(
    grad, coefs, amplitudes, rotations, freqs, row_start, step, radius, grad_amplitudes, grad_rotations
):
    """Gradients of `project_weighted` with respect to amplitudes and rotations.

    grad : (B, F) complex64, the loss's derivative by the real part plus i times that by the imaginary part of each
        output.
    grad_amplitudes (B, C) and grad_rotations (B, 3, 3) are overwritten.
    """
    n_images, n_points, n_channels = rotations.shape[0], freqs.shape[0], coefs.shape[2]
    h = row_start.shape[0] // 2
    limit2 = (radius * step) ** 2 * (1 + 1e-5)
    for b in prange(n_images):
        s = amplitudes[b]
        by_s = np.zeros(n_channels, dtype=np.float32)
        by_rotation = np.zeros((2, 3), dtype=np.float64)
        for f in range(n_points):
            x0, y0, z0, fx, fy, fz, sign, inside = _place(freqs[f, 0], freqs[f, 1], rotations[b], step, limit2)
            if not inside:
                continue
            re, im = grad[b, f].real, sign * grad[b, f].imag
            dx = dy_ = dz_ = np.float32(0.0)
            for corner in range(4):
                oy, oz = corner & 1, corner >> 1
                wy = fy if oy else 1 - fy
                wz = fz if oz else 1 - fz
                m = row_start[z0 + oz + h, y0 + oy + h] + x0
                w0, w1 = (1 - fx) * wy * wz, fx * wy * wz
                near, far = np.float32(0.0), np.float32(0.0)
                for c in range(n_channels):
                    a = re * coefs[m, 0, c] + im * coefs[m, 1, c]
                    d = re * coefs[m + 1, 0, c] + im * coefs[m + 1, 1, c]
                    by_s[c] += w0 * a + w1 * d
                    near += s[c] * a
                    far += s[c] * d
                dx += (far - near) * wy * wz
                along = (1 - fx) * near + fx * far
                dy_ += along * wz * (1 if oy else -1)
                dz_ += along * wy * (1 if oz else -1)
            kx, ky = freqs[f, 0] * step * sign, freqs[f, 1] * step * sign
            by_rotation[0, 0] += kx * dx
            by_rotation[0, 1] += kx * dy_
            by_rotation[0, 2] += kx * dz_
            by_rotation[1, 0] += ky * dx
            by_rotation[1, 1] += ky * dy_
            by_rotation[1, 2] += ky * dz_
        grad_amplitudes[b] = by_s
        grad_rotations[b, :2] = by_rotation
        grad_rotations[b, 2] = 0


@njit(parallel=True, fastmath=FAST, cache=True)
def compress_images(coefs, targets, weights, rotations, freqs, row_start, step, radius, gram, inner):
    """What a linear decoder needs to know of each image (F11): gram[b] = Σ_f w Re(u* uᵀ), inner[b] = Σ_f Re(u* t).

    u (C) are the slices of all channels at coefficient f; targets (B, F) complex64 and weights (B, F) float32 already
    hold CTF, noise and multiplicity. gram (B, C, C) and inner (B, C) float64 are overwritten.
    """
    n_images, n_points, n_channels = rotations.shape[0], freqs.shape[0], coefs.shape[2]
    h = row_start.shape[0] // 2
    limit2 = (radius * step) ** 2 * (1 + 1e-5)
    for b in prange(n_images):
        re = np.empty(n_channels, dtype=np.float32)
        im = np.empty(n_channels, dtype=np.float32)
        square = np.zeros((n_channels, n_channels), dtype=np.float64)
        product = np.zeros(n_channels, dtype=np.float64)
        for f in range(n_points):
            x0, y0, z0, fx, fy, fz, sign, inside = _place(freqs[f, 0], freqs[f, 1], rotations[b], step, limit2)
            if not inside:
                continue
            re[:] = 0
            im[:] = 0
            for corner in range(4):
                dy, dz = corner & 1, corner >> 1
                wy = fy if dy else 1 - fy
                wz = fz if dz else 1 - fz
                m = row_start[z0 + dz + h, y0 + dy + h] + x0
                w0, w1 = (1 - fx) * wy * wz, fx * wy * wz
                for c in range(n_channels):
                    re[c] += w0 * coefs[m, 0, c] + w1 * coefs[m + 1, 0, c]
                    im[c] += w0 * coefs[m, 1, c] + w1 * coefs[m + 1, 1, c]
            w, t_re, t_im = weights[b, f], targets[b, f].real, sign * targets[b, f].imag
            for i in range(n_channels):
                w_re, w_im = w * re[i], w * im[i]
                product[i] += re[i] * t_re + im[i] * t_im
                for j in range(i + 1):
                    square[i, j] += w_re * re[j] + w_im * im[j]
        for i in range(n_channels):
            inner[b, i] = product[i]
            for j in range(i + 1):
                gram[b, i, j] = square[i, j]
                gram[b, j, i] = square[i, j]


@njit(parallel=True, cache=True)
def solve_voxels(lhs, rhs, precision, shells, solution, variance):
    """Per-voxel normal equations (F1): (A_v + diag precision[shell]) V_v = b_v by Cholesky, in place of M small
    systems.

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
