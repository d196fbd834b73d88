"""Slices added into the half-sphere, voxel by voxel: no atomic additions, and every sum in the order of the images.

A program owns a cube of voxels and some columns of what is added there. It goes over the images whose slices pass
through the cube, finds for every voxel the few coefficients within one grid step of it, and has so a matrix (voxels,
images) of interpolated values; that times the images' amplitudes, (images, columns), is a product on matrix units.
Sums stay in registers until all images are through.

Floor: sums are read and written once per call, 4 bytes each way per voxel and column, so calls want many images;
coefficients are read from the cache, 8 or 4 bytes for each voxel within reach of them. Atomic additions would
read and write 8 columns' worth per coefficient of every image in the second-level cache: at box 128 with C = 17, 42 MB
an image.
"""

import math
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from .geometry import SMALLEST_PRODUCT, Geometry, launch, padded, single, sized
from .points import axis
from .products import PRECISION, read_complex
from .voxel_tiles import VoxelTiles

SIDE = sized(4, interpreted=16)
"""Voxels along a cube."""
IMAGES = 16
"""Images at a time."""
COLUMNS = 128
"""Most columns of a program."""


@dataclass(frozen=True)
class Share:
    """What goes to the voxels: out += Σ trilinear weight · values[b, f] · amplitudes[b]."""

    values: Tensor
    """(B, F). Real or complex; of complex ones the conjugate goes to where the conjugate would be read."""
    amplitudes: Tensor
    """(B, K)."""
    out: Tensor
    """(M, K), or (M, 2, K) of complex values; contiguous."""


def spread(
    rotations: Tensor,
    geometry: Geometry,
    real: Share | None = None,
    paired: Share | None = None,
    side: int = SIDE,
) -> None:
    """Add images at rotations (B, 3, 3) to sums in place: shares of real values, of complex ones, or both in one pass.

    `side` is that of a program's cube in voxels.
    """
    count = (real or paired).values.shape[1]
    if not len(rotations) or not count:
        return
    tiles = VoxelTiles.of(geometry.sphere, side, geometry.device)
    (turned,) = single(rotations)
    members, begins = tiles.images(turned)
    shares = [_arguments(share, turned) for share in (real, paired)]
    columns = [min(max(padded(share[-1]), SMALLEST_PRODUCT), COLUMNS) for share in shares]
    programs = max(triton.cdiv(share[-1], wide) for share, wide in zip(shares, columns, strict=True))
    numbers = geometry.number_of_frequency
    _, _, step, limit = geometry.of_storage
    launch(
        _spread, (len(tiles), programs), turned, *shares[0], *shares[1], members, begins, tiles.voxels, tiles.first,
        numbers, len(numbers) - 1, count, step, limit,
        REAL=real is not None, PAIRED=paired is not None, COLUMNS=columns[0], PAIRED_COLUMNS=columns[1],
        SIDE=side, IMAGES=IMAGES, WINDOW=_window(turned, step), num_warps=8 if columns[0] > 64 else 4,
    )  # fmt: skip


def _arguments(share: Share | None, nothing: Tensor) -> tuple[Tensor, Tensor, Tensor, int]:
    """Values, amplitudes, sums and the number of columns; tensors that a kernel does not read still have to be some."""
    if share is None:
        return nothing, nothing, nothing, 0
    values, amplitudes = single(share.values, share.amplitudes)
    return values, amplitudes, share.out, amplitudes.shape[1]


def _window(rotations: Tensor, step: float) -> int:
    """Coefficients along an axis of the view that may lie within √3 grid steps of a voxel."""
    smallest = float(torch.linalg.vector_norm(rotations[:, :2], dim=2).min())
    return int(2 * math.sqrt(3) / (step * smallest)) + 1


@triton.jit
def _spread(
    rotations, values, amplitudes, out, n_columns, pairs, pair_amplitudes, pair_out, n_pair_columns,
    members, begins, tile_voxels, tile_first, numbers, radius, count, step, limit,
    REAL: tl.constexpr, PAIRED: tl.constexpr, COLUMNS: tl.constexpr, PAIRED_COLUMNS: tl.constexpr,
    SIDE: tl.constexpr, IMAGES: tl.constexpr, WINDOW: tl.constexpr,
):  # fmt: skip
    tile = tl.program_id(0).to(tl.int64)
    SIZE: tl.constexpr = SIDE * SIDE * SIDE
    within = tl.arange(0, SIZE)
    x = (tl.load(tile_first + 3 * tile) + within % SIDE).to(tl.float32)[:, None]
    y = (tl.load(tile_first + 3 * tile + 1) + within // SIDE % SIDE).to(tl.float32)[:, None]
    z = (tl.load(tile_first + 3 * tile + 2) + within // (SIDE * SIDE)).to(tl.float32)[:, None]
    columns = (tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS))[None, :]
    pair_columns = (tl.program_id(1) * PAIRED_COLUMNS + tl.arange(0, PAIRED_COLUMNS))[None, :]
    sums = tl.zeros((SIZE, COLUMNS), tl.float32)
    sums_re = tl.zeros((SIZE, PAIRED_COLUMNS), tl.float32)
    sums_im = tl.zeros((SIZE, PAIRED_COLUMNS), tl.float32)
    end = tl.load(begins + tile + 1)
    for at in range(tl.load(begins + tile), end, IMAGES):
        places = at + tl.arange(0, IMAGES)
        there = places < end
        image = tl.load(members + places, mask=there, other=0).to(tl.int64)
        value, re, im = _reached(
            values, pairs, rotations, image, there, x, y, z, numbers, radius, count, step, limit, REAL, PAIRED, WINDOW
        )
        if REAL:
            shares = _rows(amplitudes, image, columns, there, n_columns)
            sums = tl.dot(value, shares, sums, input_precision=PRECISION)
        if PAIRED:
            shares = _rows(pair_amplitudes, image, pair_columns, there, n_pair_columns)
            sums_re = tl.dot(re, shares, sums_re, input_precision=PRECISION)
            sums_im = tl.dot(im, shares, sums_im, input_precision=PRECISION)
    voxels = tl.load(tile_voxels + tile * SIZE + within).to(tl.int64)[:, None]
    if REAL:
        _add(out + voxels * n_columns + columns, sums, (voxels >= 0) & (columns < n_columns))
    if PAIRED:
        to, written = pair_out + 2 * voxels * n_pair_columns + pair_columns, pair_columns < n_pair_columns
        _add(to, sums_re, (voxels >= 0) & written)
        _add(to + n_pair_columns, sums_im, (voxels >= 0) & written)


@triton.jit
def _rows(amplitudes, image, columns, there, n_columns):
    """(images, columns) of the amplitudes (B, n_columns)."""
    mask = there[:, None] & (columns < n_columns)
    return tl.load(amplitudes + image[:, None] * n_columns + columns, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def _add(to, sums, mask):
    tl.store(to, tl.load(to, mask=mask, other=0.0) + sums, mask=mask)


@triton.jit
def _reached(
    values, pairs, rotations, image, there, x, y, z, numbers, radius, count, step, limit,
    REAL: tl.constexpr, PAIRED: tl.constexpr, WINDOW: tl.constexpr,
):  # fmt: skip
    """(voxels, images): Σ over coefficients of trilinear weight · value; of real values, and both parts of complex."""
    ax, ay, az = axis(rotations, image[None, :], 0)
    bx, by, bz = axis(rotations, image[None, :], 1)
    # Seen in the view a voxel is at (u, v), and what reaches it lies within √3 grid steps.
    square = ax * ax + ay * ay + az * az
    scale = 1 / (step * square)
    reach = 1.7320509 / (step * tl.sqrt(square))
    first_u = tl.ceil((x * ax + y * ay + z * az) * scale - reach)
    first_v = tl.ceil((x * bx + y * by + z * bz) * scale - reach)
    total, re, im = first_u * 0, first_u * 0, first_u * 0
    for candidate in range(WINDOW * WINDOW):
        kx, ky = first_u + candidate // WINDOW, first_v + candidate % WINDOW
        qx, qy, qz = step * (kx * ax + ky * bx), step * (kx * ay + ky * by), step * (kx * az + ky * bz)
        near_x, near_y, near_z = 1 - tl.abs(qx - x), 1 - tl.abs(qy - y), 1 - tl.abs(qz - z)
        # Of a coefficient and its conjugate one is stored; each counts in the half x ≥ 0 of the volume, once.
        stored = (kx > 0) | ((kx == 0) & (ky >= 0))
        hit = (tl.minimum(near_x, tl.minimum(near_y, near_z)) > 0) & there[None, :]
        hit = hit & tl.where(stored, qx >= 0, qx > 0) & (qx * qx + qy * qy + qz * qz <= limit)
        sign = tl.where(stored, 1.0, -1.0)
        column, row = (sign * kx).to(tl.int32), (sign * ky).to(tl.int32)
        hit = hit & (column <= radius) & (tl.abs(row) <= radius)
        number = tl.load(numbers + column * (2 * radius + 1) + row + radius, mask=hit, other=-1)
        hit = hit & (number >= 0) & (number < count)
        weight = tl.where(hit, near_x * near_y * near_z, 0.0)
        at = image[None, :] * count + number
        if REAL:
            total += weight * tl.load(values + at, mask=hit, other=0.0).to(tl.float32)
        if PAIRED:
            real, imaginary = read_complex(pairs, at, hit)
            re += weight * real
            im += weight * sign * imaginary
    return total, re, im
