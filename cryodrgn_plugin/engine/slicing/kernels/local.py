"""How well an image fits at a pose and how that changes nearby: one kernel for pose refinement (numba).

With u the slice, y the target moved back by the shift, w the weights and J the derivatives of the model's image by
three small rotations of the view and two shifts,

    ℓ = Σ_f Re(u* y) − ½ w |u|²,      g_i = Σ_f Re(J_i* (y − w u)),      H_ij = Σ_f w Re(J_i* J_j)

H is the Gauss-Newton approximation of −∂²ℓ. One thread serves an image.
"""

import math

import numpy as np
from numba import njit, prange

from .gather import _slopes
from .matching import _wave_tables
from .trilinear import FAST, axes_of, corner_starts, corner_weights, limit_of, locate

N_PARAMETERS = 5
"""Rotations about the view's x, y and z axes, in radians, and shifts along x and y, in boxes."""


@njit(inline="always")
def _mixed_corners(flat, starts, amplitudes, n_channels, re, im):
    """Real and imaginary parts of Σ_c amplitudes[c] V_c at eight voxels."""
    for i in range(8):
        total_re, total_im = np.float32(0.0), np.float32(0.0)
        for c in range(n_channels):
            total_re += amplitudes[c] * flat[starts[i] + c]
            total_im += amplitudes[c] * flat[starts[i] + n_channels + c]
        re[i], im[i] = total_re, total_im


@njit(inline="always")
def _dot(values, weights):
    total = np.float32(0.0)
    for i in range(8):
        total += values[i] * weights[i]
    return total


@njit(inline="always")
def _fill_jacobian(jacobian, rx, ry, rz, ix, iy, iz, sign, kx, ky, axes, ox, oy, oz, u_re, u_im):
    """Derivatives of the model's image at one coefficient by the five parameters.

    rx … iz: slopes of the volume's real and imaginary part in grid steps; sign of the conjugation (`locate`).
    kx, ky: the coefficient; ox, oy, oz: the view's z axis in grid steps; u_re, u_im: the slice there.
    """
    # On the conjugated half both the place and the imaginary part change sign.
    out_re = sign * (rx * ox + ry * oy + rz * oz)
    out_im = ix * ox + iy * oy + iz * oz
    tx, ty, tz = ky * axes[0] - kx * axes[3], ky * axes[1] - kx * axes[4], ky * axes[2] - kx * axes[5]
    jacobian[0, 0], jacobian[0, 1] = -ky * out_re, -ky * out_im
    jacobian[1, 0], jacobian[1, 1] = kx * out_re, kx * out_im
    jacobian[2, 0], jacobian[2, 1] = sign * (rx * tx + ry * ty + rz * tz), ix * tx + iy * ty + iz * tz
    wave = np.float32(2 * math.pi)
    jacobian[3, 0], jacobian[3, 1] = wave * kx * u_im, -wave * kx * u_re
    jacobian[4, 0], jacobian[4, 1] = wave * ky * u_im, -wave * ky * u_re


@njit(inline="always")
def _moved_back(target, px, py):
    """A target times the waves px along x and py along y: its real and imaginary part."""
    cosine, sine = px[0] * py[0] - px[1] * py[1], px[0] * py[1] + px[1] * py[0]
    return target.real * cosine - target.imag * sine, target.real * sine + target.imag * cosine


@njit(inline="always")
def _add_derivatives(jacobian, e_re, e_im, weight, slope, bend):
    """Add one coefficient with residual e to g and to the lower triangle of H."""
    for i in range(N_PARAMETERS):
        j_re, j_im = jacobian[i, 0], jacobian[i, 1]
        slope[i] += j_re * e_re + j_im * e_im
        for j in range(i + 1):
            bend[i, j] += weight * (j_re * jacobian[j, 0] + j_im * jacobian[j, 1])


@njit(inline="always")
def _store_derivatives(slope, bend, gradient, curvature):
    """Write g and, from its lower triangle, H."""
    for i in range(N_PARAMETERS):
        gradient[i] = slope[i]
        for j in range(i + 1):
            curvature[i, j] = bend[i, j]
            curvature[j, i] = bend[i, j]


@njit(parallel=True, fastmath=FAST, cache=True)
def expand_poses(
    coefs, begins, amplitudes, targets, weights, rotations, shifts, indices, row_start, step, radius,
    value, gradient, curvature,
):  # fmt: skip
    """ℓ, g and H of each image at its pose.

    Parameters
    ----------
    coefs : (S M, 2, C). S sets of volumes on the half-sphere, one after the other; begins (B,) is the row with which
        each image's set begins, and amplitudes (B, C) mix its volumes.
    targets, weights : (B, F) complex64 and float32, with CTF, noise and multiplicity.
    rotations : (B, 3, 3) float32, volume to view.
    shifts : (B, 2) float32, in boxes; targets are moved back by them.
    indices : (F, 2) int32, the lattice's.
    value (B,), gradient (B, 5), curvature (B, 5, 5) : float64, overwritten.
    """
    n_images, n_points, n_channels = rotations.shape[0], indices.shape[0], coefs.shape[2]
    half_width = int(math.ceil(radius))
    limit2 = limit_of(radius, step)
    flat = coefs.reshape(-1)
    for b in prange(n_images):
        rotation, own = rotations[b], flat[begins[b] * 2 * n_channels :]
        axes = axes_of(rotation, step)
        ox, oy, oz = rotation[2, 0] * step, rotation[2, 1] * step, rotation[2, 2] * step
        along_x = np.empty((half_width + 1, 2), dtype=np.float32)
        along_y = np.empty((2 * half_width + 1, 2), dtype=np.float32)
        _wave_tables(shifts[b, 0], shifts[b, 1], half_width, along_x, along_y)
        starts, corner = np.empty(8, dtype=np.int64), np.empty(8, dtype=np.float32)
        re, im = np.empty(8, dtype=np.float32), np.empty(8, dtype=np.float32)
        jacobian = np.empty((N_PARAMETERS, 2), dtype=np.float32)
        total = 0.0
        slope = np.zeros(N_PARAMETERS)
        bend = np.zeros((N_PARAMETERS, N_PARAMETERS))
        for f in range(n_points):
            kx, ky = np.float32(indices[f, 0]), np.float32(indices[f, 1])
            x, y, z, fx, fy, fz, sign, inside = locate(kx, ky, axes, limit2)
            if not inside:
                continue
            corner_starts(row_start, x, y, z, 2 * n_channels, starts)
            corner_weights(fx, fy, fz, np.float32(1.0), corner)
            _mixed_corners(own, starts, amplitudes[b], n_channels, re, im)
            u_re, u_im = _dot(re, corner), sign * _dot(im, corner)
            rx, ry, rz = _slopes(re, fx, fy, fz)
            ix, iy, iz = _slopes(im, fx, fy, fz)
            _fill_jacobian(jacobian, rx, ry, rz, ix, iy, iz, sign, kx, ky, axes, ox, oy, oz, u_re, u_im)
            px, py = along_x[indices[f, 0]], along_y[half_width + indices[f, 1]]
            target, weight = targets[b, f], weights[b, f]
            y_re, y_im = _moved_back(target, px, py)
            total += u_re * y_re + u_im * y_im - np.float32(0.5) * weight * (u_re * u_re + u_im * u_im)
            e_re, e_im = y_re - weight * u_re, y_im - weight * u_im
            _add_derivatives(jacobian, e_re, e_im, weight, slope, bend)
        value[b] = total
        _store_derivatives(slope, bend, gradient[b], curvature[b])
