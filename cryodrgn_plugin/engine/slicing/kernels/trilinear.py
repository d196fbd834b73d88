"""Where a coefficient of a rotated slice lies on the half-sphere's grid (numba, inlined into the kernels).

Numba's cache follows the file of a kernel, not this one: after a change here, touch the files of the kernels.
"""

import numpy as np
from numba import njit

FAST = {"contract", "reassoc", "nsz", "arcp"}  # not "nnan": a NaN image must stay visible


@njit(inline="always")
def axes_of(rotation, step):
    """The view's x and y axes in grid steps, (6,)."""
    return (
        rotation[0, 0] * step,
        rotation[0, 1] * step,
        rotation[0, 2] * step,
        rotation[1, 0] * step,
        rotation[1, 1] * step,
        rotation[1, 2] * step,
    )


@njit(inline="always")
def limit_of(radius, step):
    """Square of the frequency limit in grid steps, with room for rounding."""
    return np.float32((radius * step) ** 2 * (1 + 1e-5))


@njit(inline="always")
def locate(kx, ky, axes, limit2):
    """Base voxel (x, y, z) int32, fractions, sign of the conjugation, and whether the point is inside the limit.

    Without branches: which way a point goes is as good as random.
    """
    qx = kx * axes[0] + ky * axes[3]
    qy = kx * axes[1] + ky * axes[4]
    qz = kx * axes[2] + ky * axes[5]
    inside = qx * qx + qy * qy + qz * qz <= limit2
    sign = np.float32(-1.0) if qx < 0 else np.float32(1.0)
    qx, qy, qz = sign * qx, sign * qy, sign * qz
    below_x, below_y, below_z = np.floor(qx), np.floor(qy), np.floor(qz)
    x, y, z = np.int32(below_x), np.int32(below_y), np.int32(below_z)
    return x, y, z, qx - below_x, qy - below_y, qz - below_z, sign, inside


@njit(inline="always")
def corner_starts(row_start, x, y, z, width, starts):
    """Where the runs of `width` numbers of the eight voxels around a point begin; x fastest, z slowest."""
    h = row_start.shape[0] // 2
    starts[0] = (row_start[z + h, y + h] + x) * width
    starts[2] = (row_start[z + h, y + 1 + h] + x) * width
    starts[4] = (row_start[z + 1 + h, y + h] + x) * width
    starts[6] = (row_start[z + 1 + h, y + 1 + h] + x) * width
    starts[1] = starts[0] + width
    starts[3] = starts[2] + width
    starts[5] = starts[4] + width
    starts[7] = starts[6] + width


@njit(inline="always")
def corner_weights(fx, fy, fz, value, weights):
    """Trilinear weights of the eight voxels times `value`."""
    gx, gy = np.float32(1.0) - fx, np.float32(1.0) - fy
    below, above = value * (np.float32(1.0) - fz), value * fz
    weights[0], weights[1] = gx * gy * below, fx * gy * below
    weights[2], weights[3] = gx * fy * below, fx * fy * below
    weights[4], weights[5] = gx * gy * above, fx * gy * above
    weights[6], weights[7] = gx * fy * above, fx * fy * above
