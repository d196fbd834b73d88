"""Slices and weighted slices.

Floor: what a slice touches, 8 · 2C numbers per coefficient without reuse and about step² · 2 voxels of 2C numbers with
all of it, and what is written, 2C numbers per coefficient or two.
"""

import triton
import triton.language as tl
from torch import Tensor

from .geometry import Geometry, launch, padded, single, sized
from .points import frequencies, read_slices, read_slopes

POINTS = sized(32, interpreted=128)
"""Coefficients of a program."""


def project(coefs: Tensor, rotations: Tensor, geometry: Geometry, count: int) -> Tensor:
    """(B, F, 2, C) float32; see `Backend.project`."""
    n, n_channels = len(rotations), coefs.shape[2]
    out = rotations.new_empty(n, count, 2, n_channels)
    (turned,) = single(rotations)
    grid = n, triton.cdiv(count, POINTS)
    launch(
        _project, grid, *geometry.stored(coefs), turned, geometry.freqs, *geometry.of_storage, out, count, n_channels,
        POINTS=POINTS, CHANNELS=padded(n_channels),
    )  # fmt: skip
    return out


def mix(coefs: Tensor, amplitudes: Tensor, rotations: Tensor, geometry: Geometry, count: int) -> Tensor:
    """(B, F, 2) float32; see `Backend.mix`."""
    n, n_channels = amplitudes.shape
    out = rotations.new_empty(n, count, 2)
    arrays = single(amplitudes, rotations)
    grid = n, triton.cdiv(count, POINTS)
    launch(
        _mix, grid, *geometry.stored(coefs), *arrays, geometry.freqs, *geometry.of_storage, out, count, n_channels,
        POINTS=POINTS, CHANNELS=padded(n_channels),
    )  # fmt: skip
    return out


def rotation_gradients(
    grad: Tensor, coefs: Tensor, amplitudes: Tensor, rotations: Tensor, geometry: Geometry
) -> Tensor:
    """(B, 3, 3) derivatives of Σ Re(grad* u) by the rotations, grad (B, F) complex and u the weighted slices."""
    (n, count), n_channels = grad.shape, coefs.shape[2]
    out = rotations.new_zeros(n, 3, 3)
    (values,), others = single(grad), single(amplitudes, rotations)
    launch(
        _rotation_gradients, (n,), values, *geometry.stored(coefs), *others, geometry.freqs, *geometry.of_storage, out,
        count, n_channels,
        POINTS=POINTS, CHANNELS=padded(n_channels),
    )  # fmt: skip
    return out


@triton.jit
def _project(
    coefs, factors, rotations, freqs, row_start, half_width, step, limit, out, count, n_channels,
    POINTS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    image = tl.program_id(0).to(tl.int64)
    points = tl.program_id(1) * POINTS + tl.arange(0, POINTS)
    mask = points < count
    kx, ky = frequencies(freqs, points, mask)
    re, im = read_slices(
        coefs, factors, rotations, image, kx, ky, mask, row_start, half_width, step, limit, n_channels, CHANNELS
    )
    channels = tl.arange(0, CHANNELS)
    at = out + ((image * count + points) * 2 * n_channels)[:, None] + channels[None, :]
    written = mask[:, None] & (channels < n_channels)[None, :]
    tl.store(at, re, mask=written)
    tl.store(at + n_channels, im, mask=written)


@triton.jit
def _mix(
    coefs, factors, amplitudes, rotations, freqs, row_start, half_width, step, limit, out, count, n_channels,
    POINTS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    image = tl.program_id(0).to(tl.int64)
    points = tl.program_id(1) * POINTS + tl.arange(0, POINTS)
    mask = points < count
    kx, ky = frequencies(freqs, points, mask)
    re, im = read_slices(
        coefs, factors, rotations, image, kx, ky, mask, row_start, half_width, step, limit, n_channels, CHANNELS
    )
    channels = tl.arange(0, CHANNELS)
    shares = tl.load(amplitudes + image * n_channels + channels, mask=channels < n_channels, other=0.0)[None, :]
    at = out + (image * count + points) * 2
    tl.store(at, tl.sum(re * shares, 1), mask=mask)
    tl.store(at + 1, tl.sum(im * shares, 1), mask=mask)


@triton.jit
def _rotation_gradients(
    grad, coefs, factors, amplitudes, rotations, freqs, row_start, half_width, step, limit, out, count, n_channels,
    POINTS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    image = tl.program_id(0).to(tl.int64)
    nothing = tl.zeros((POINTS,), tl.float32)
    ax, ay, az, bx, by, bz = nothing, nothing, nothing, nothing, nothing, nothing
    for first in range(0, count, POINTS):
        points = first + tl.arange(0, POINTS)
        mask = points < count
        kx, ky = frequencies(freqs, points, mask)
        _, _, re_x, im_x, re_y, im_y, re_z, im_z = read_slopes(
            coefs, factors, amplitudes, image, 0, rotations, kx, ky, mask, row_start, half_width, step, limit,
            n_channels, CHANNELS,
        )  # fmt: skip
        at = grad + (image * count + points) * 2
        g_re, g_im = tl.load(at, mask=mask, other=0.0), tl.load(at + 1, mask=mask, other=0.0)
        along_x, along_y, along_z = g_re * re_x + g_im * im_x, g_re * re_y + g_im * im_y, g_re * re_z + g_im * im_z
        ax += kx * along_x
        ay += kx * along_y
        az += kx * along_z
        bx += ky * along_x
        by += ky * along_y
        bz += ky * along_z
    at = out + image * 9
    tl.store(at, step * tl.sum(ax))
    tl.store(at + 1, step * tl.sum(ay))
    tl.store(at + 2, step * tl.sum(az))
    tl.store(at + 3, step * tl.sum(bx))
    tl.store(at + 4, step * tl.sum(by))
    tl.store(at + 5, step * tl.sum(bz))
