"""How well an image fits at a pose and how that changes nearby: one kernel for pose refinement (numba).

With u the slice, y the target moved back by the shift, w the weights and J the derivatives of the model's image by
three small rotations of the view and two shifts,

    ℓ = Σ_f Re(u* y) − ½ w |u|²,      g_i = Σ_f Re(J_i* (y − w u)),      H_ij = Σ_f w Re(J_i* J_j)

H is the Gauss-Newton approximation of −∂²ℓ. One thread serves an image.

Points are taken in chunks. Volumes are mixed at the corners of each point, and then everything is laid out by rows, a
number of all points of the chunk in each: the rest is sums over numbers side by side. Floor: the voxels that a slice
touches, 2 C numbers of each.
"""

import math

import numpy as np
from numba import njit, prange

from ..backend import N_PARAMETERS
from .gather import CHUNK, add_products, fill_upper
from .matching import _wave_tables
from .mixed_corners import mix_corners, scale_corners, turn_block
from .runs import prefetch
from .trilinear import FAST, axes_of, corner_starts, limit_of, locate

CORNERS = 8
FX, FY, FZ, SIGN, INSIDE, KX, KY, Y_RE, Y_IM = range(2 * CORNERS, 2 * CORNERS + 9)
"""Rows of what is seen at the points of a chunk, after the volume's real and imaginary parts at their corners."""
ROWS = Y_IM + 1


@njit(inline="always")
def _locate_chunk(indices, axes, limit2, places, seen):
    """Base voxels (3, CHUNK) of the points of a chunk, and their rows FX to KY; points outside are at voxel 0."""
    for i in range(indices.shape[0]):
        kx, ky = np.float32(indices[i, 0]), np.float32(indices[i, 1])
        x, y, z, fx, fy, fz, sign, inside = locate(kx, ky, axes, limit2)
        here = np.int32(1) if inside else np.int32(0)
        places[0, i], places[1, i], places[2, i] = here * x, here * y, here * z
        seen[FX, i], seen[FY, i], seen[FZ, i] = fx, fy, fz
        seen[SIGN, i], seen[INSIDE, i], seen[KX, i], seen[KY, i] = sign, np.float32(here), kx, ky


@njit(inline="always")
def _mix_chunk(flat, row_start, amplitudes, places, count, starts, corners, seen):
    """Fill the first rows: Σ_c amplitudes[c] V_c at the eight voxels around each point, real and imaginary parts."""
    n_channels = amplitudes.shape[0]
    for i in range(count):
        corner_starts(row_start, places[0, i], places[1, i], places[2, i], 2 * n_channels, starts[i])
        for corner in range(0, CORNERS, 2):
            prefetch(flat, starts[i, corner], 4 * n_channels)
    for i in range(count):
        if n_channels == 1:
            scale_corners(flat, starts[i], amplitudes[0], corners, 2 * CORNERS * i)
        else:
            mix_corners(flat, starts[i], amplitudes, n_channels, corners, 2 * CORNERS * i)
    for i in range(0, CHUNK, CORNERS):
        for part in range(2):
            at = CORNERS * part
            turn_block(corners, 2 * CORNERS * i + at, 2 * CORNERS, seen.reshape(-1), CHUNK * at + i, CHUNK)


@njit(inline="always")
def _move_back_chunk(targets, weights, indices, along_x, along_y, seen, weight):
    """Rows Y_RE and Y_IM, and weight (2 CHUNK), of the points inside; 0 of those outside and beyond the last."""
    half_width = along_x.shape[0] - 1
    none = np.float32(0.0)
    if len(targets) < CHUNK:
        seen[Y_RE], seen[Y_IM] = none, none
        weight[:] = 0
    for i in range(len(targets)):
        x, y = along_x[indices[i, 0]], along_y[half_width + indices[i, 1]]
        cosine, sine = x[0] * y[0] - x[1] * y[1], x[0] * y[1] + x[1] * y[0]
        target, inside = targets[i], seen[INSIDE, i] > none
        seen[Y_RE, i] = target.real * cosine - target.imag * sine if inside else none
        seen[Y_IM, i] = target.real * sine + target.imag * cosine if inside else none
        weight[i] = weight[CHUNK + i] = weights[i] if inside else none


@njit(inline="always")
def _interpolated(seen, first, i):
    """A part of the volume at point i and its slopes along x, y and z, from its eight corners (x fastest)."""
    fx, fy, fz = seen[FX, i], seen[FY, i], seen[FZ, i]
    x0, x1 = seen[first + 1, i] - seen[first, i], seen[first + 3, i] - seen[first + 2, i]
    x2, x3 = seen[first + 5, i] - seen[first + 4, i], seen[first + 7, i] - seen[first + 6, i]
    a0, a1 = seen[first, i] + fx * x0, seen[first + 2, i] + fx * x1
    a2, a3 = seen[first + 4, i] + fx * x2, seen[first + 6, i] + fx * x3
    y0, y1 = a1 - a0, a3 - a2
    below, above = a0 + fy * y0, a2 + fy * y1
    x_below, x_above = x0 + fy * (x1 - x0), x2 + fy * (x3 - x2)
    slope_z = above - below
    return below + fz * slope_z, x_below + fz * (x_above - x_below), y0 + fz * (y1 - y0), slope_z


@njit(inline="always")
def _fill_jacobian(seen, axes, across, weight, parts, residual):
    """Write J (5, 2 CHUNK) and y − w u (2 CHUNK) of a chunk, real parts and then imaginary ones; gives its part of ℓ.

    axes: the view's x and y axes in grid steps, across (3,) its z axis.
    """
    wave, value = np.float32(2 * math.pi), np.float32(0.0)
    for i in range(CHUNK):
        sign, kx, ky = seen[SIGN, i], seen[KX, i], seen[KY, i]
        u_re, rx, ry, rz = _interpolated(seen, 0, i)
        u_im, ix, iy, iz = _interpolated(seen, CORNERS, i)
        # On the conjugated half both the place and the imaginary part change sign.
        u_im = sign * u_im
        out_re = sign * (rx * across[0] + ry * across[1] + rz * across[2])
        out_im = ix * across[0] + iy * across[1] + iz * across[2]
        tx, ty, tz = ky * axes[0] - kx * axes[3], ky * axes[1] - kx * axes[4], ky * axes[2] - kx * axes[5]
        k = CHUNK + i
        parts[0, i], parts[0, k] = -ky * out_re, -ky * out_im
        parts[1, i], parts[1, k] = kx * out_re, kx * out_im
        parts[2, i], parts[2, k] = sign * (rx * tx + ry * ty + rz * tz), ix * tx + iy * ty + iz * tz
        parts[3, i], parts[3, k] = wave * kx * u_im, -wave * kx * u_re
        parts[4, i], parts[4, k] = wave * ky * u_im, -wave * ky * u_re
        y_re, y_im, w = seen[Y_RE, i], seen[Y_IM, i], weight[i]
        residual[i], residual[k] = y_re - w * u_re, y_im - w * u_im
        value += u_re * y_re + u_im * y_im - np.float32(0.5) * w * (u_re * u_re + u_im * u_im)
    return value


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
    n_points, n_channels = indices.shape[0], coefs.shape[2]
    half_width, limit2 = int(math.ceil(radius)), limit_of(radius, step)
    flat = coefs.reshape(-1)
    for b in prange(rotations.shape[0]):
        own, axes = flat[begins[b] * 2 * n_channels :], axes_of(rotations[b], step)
        across = rotations[b, 2, 0] * step, rotations[b, 2, 1] * step, rotations[b, 2, 2] * step
        along_x, along_y = np.empty((half_width + 1, 2), np.float32), np.empty((2 * half_width + 1, 2), np.float32)
        _wave_tables(shifts[b, 0], shifts[b, 1], half_width, along_x, along_y)
        places, starts = np.zeros((3, CHUNK), np.int32), np.zeros((CHUNK, CORNERS), np.int64)
        corners, seen = np.zeros(2 * CORNERS * CHUNK, np.float32), np.zeros((ROWS, CHUNK), np.float32)
        parts, residual = np.empty((N_PARAMETERS, 2 * CHUNK), np.float32), np.empty(2 * CHUNK, np.float32)
        weight, weighted = np.zeros(2 * CHUNK, np.float32), np.empty(2 * CHUNK, np.float32)
        value[b], gradient[b], curvature[b] = 0, 0, 0
        for first in range(0, n_points, CHUNK):
            last = min(first + CHUNK, n_points)
            _locate_chunk(indices[first:last], axes, limit2, places, seen)
            _mix_chunk(own, row_start, amplitudes[b], places, last - first, starts, corners, seen)
            y, w = targets[b, first:last], weights[b, first:last]
            _move_back_chunk(y, w, indices[first:last], along_x, along_y, seen, weight)
            value[b] += _fill_jacobian(seen, axes, across, weight, parts, residual)
            add_products(parts, weight, residual, weighted, curvature[b], gradient[b])
        fill_upper(curvature[b])
