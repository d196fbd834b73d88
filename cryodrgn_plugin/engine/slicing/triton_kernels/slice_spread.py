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
COLUMNS = 256
"""Most columns of a program."""


def spread(
    values: Tensor, amplitudes: Tensor, rotations: Tensor, geometry: Geometry, out: Tensor, side: int = SIDE
) -> None:
    """out[voxel] += Σ trilinear weight · values[b, f] · amplitudes[b], in place.

    Parameters
    ----------
    values : (B, F). Real or complex; of complex ones the conjugate goes to where the conjugate was read.
    amplitudes : (B, K).
    out : (M, K), or (M, 2, K) for complex values; contiguous.
    side : voxels along a program's cube.
    """
    n, count = values.shape
    n_columns = amplitudes.shape[1]
    if not n or not n_columns or not count:
        return
    tiles = VoxelTiles.of(geometry.sphere, side, geometry.device)
    values_, amplitudes_, turned = single(values, amplitudes, rotations)
    members, begins = tiles.images(turned)
    columns = min(max(padded(n_columns), SMALLEST_PRODUCT), COLUMNS)
    grid = len(tiles), triton.cdiv(n_columns, columns)
    numbers = geometry.number_of_frequency
    _, _, step, limit = geometry.of_storage
    launch(
        _spread, grid, values_, amplitudes_, turned, members, begins, tiles.voxels, tiles.first, numbers, out,
        len(numbers) - 1, count, n_columns, step, limit,
        COMPLEX=values.is_complex(), SIDE=side, IMAGES=IMAGES, COLUMNS=columns,
        WINDOW=_window(turned, step), num_warps=8 if columns > 64 else 4,
    )  # fmt: skip


def _window(rotations: Tensor, step: float) -> int:
    """Coefficients along an axis of the view that may lie within √3 grid steps of a voxel."""
    smallest = float(torch.linalg.vector_norm(rotations[:, :2], dim=2).min())
    return int(2 * math.sqrt(3) / (step * smallest)) + 1


@triton.jit
def _spread(
    values, amplitudes, rotations, members, begins, tile_voxels, tile_first, numbers, out,
    radius, count, n_columns, step, limit,
    COMPLEX: tl.constexpr, SIDE: tl.constexpr, IMAGES: tl.constexpr, COLUMNS: tl.constexpr, WINDOW: tl.constexpr,
):  # fmt: skip
    tile = tl.program_id(0).to(tl.int64)
    SIZE: tl.constexpr = SIDE * SIDE * SIDE
    within = tl.arange(0, SIZE)
    x = (tl.load(tile_first + 3 * tile) + within % SIDE).to(tl.float32)[:, None]
    y = (tl.load(tile_first + 3 * tile + 1) + within // SIDE % SIDE).to(tl.float32)[:, None]
    z = (tl.load(tile_first + 3 * tile + 2) + within // (SIDE * SIDE)).to(tl.float32)[:, None]
    columns = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    sums = tl.zeros((SIZE, COLUMNS), tl.float32)
    other = tl.zeros((SIZE, COLUMNS), tl.float32)
    end = tl.load(begins + tile + 1)
    for at in range(tl.load(begins + tile), end, IMAGES):
        places = at + tl.arange(0, IMAGES)
        there = places < end
        image = tl.load(members + places, mask=there, other=0).to(tl.int64)
        re, im = _reached(
            values, rotations, image, there, x, y, z, numbers, radius, count, step, limit, COMPLEX, WINDOW
        )
        wanted = there[:, None] & (columns < n_columns)[None, :]
        shares = tl.load(amplitudes + image[:, None] * n_columns + columns[None, :], mask=wanted, other=0.0).to(
            tl.float32
        )
        sums = tl.dot(re, shares, sums, input_precision=PRECISION)
        if COMPLEX:
            other = tl.dot(im, shares, other, input_precision=PRECISION)
    voxels = tl.load(tile_voxels + tile * SIZE + within).to(tl.int64)
    written = (voxels >= 0)[:, None] & (columns < n_columns)[None, :]
    if COMPLEX:
        to = out + (2 * voxels * n_columns)[:, None] + columns[None, :]
        tl.store(to + n_columns, tl.load(to + n_columns, mask=written) + other, mask=written)
    else:
        to = out + (voxels * n_columns)[:, None] + columns[None, :]
    tl.store(to, tl.load(to, mask=written) + sums, mask=written)


@triton.jit
def _reached(
    values, rotations, image, there, x, y, z, numbers, radius, count, step, limit,
    COMPLEX: tl.constexpr, WINDOW: tl.constexpr,
):  # fmt: skip
    """(voxels, images): Σ over coefficients of trilinear weight · value, real and imaginary parts."""
    ax, ay, az = axis(rotations, image[None, :], 0)
    bx, by, bz = axis(rotations, image[None, :], 1)
    # Seen in the view a voxel is at (u, v), and what reaches it lies within √3 grid steps.
    square = ax * ax + ay * ay + az * az
    scale = 1 / (step * square)
    reach = 1.7320509 / (step * tl.sqrt(square))
    first_u = tl.ceil((x * ax + y * ay + z * az) * scale - reach)
    first_v = tl.ceil((x * bx + y * by + z * bz) * scale - reach)
    re, im = first_u * 0, first_u * 0
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
        weight = near_x * near_y * near_z
        at = image[None, :] * count + number
        if COMPLEX:
            value, imaginary = read_complex(values, at, hit)
            im += tl.where(hit, weight * sign * imaginary, 0.0)
        else:
            value = tl.load(values + at, mask=hit, other=0.0).to(tl.float32)
        re += tl.where(hit, weight * value, 0.0)
    return re, im
