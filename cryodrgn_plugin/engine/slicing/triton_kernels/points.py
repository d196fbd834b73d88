"""Where the points of a slice fall in the half-sphere, and what is stored around them.

A point of coefficient (kx, ky) under rotation A is q = step · (kx A₀ + ky A₁), A₀ and A₁ the first rows of A. Where
q_x < 0 the conjugate of the value at −q is taken. Tiles are (coefficients, channels); channels of a voxel lie side by
side, so that a row of a tile is one stretch of memory, and one gather serves all channels.
"""

import triton
import triton.language as tl


@triton.jit
def axis(rotations, image, row: tl.constexpr):
    """Row `row` of an image's rotation, three numbers."""
    at = rotations + image * 9 + 3 * row
    return tl.load(at), tl.load(at + 1), tl.load(at + 2)


@triton.jit
def frequencies(freqs, points, mask):
    """kx and ky of coefficients."""
    return tl.load(freqs + 2 * points, mask=mask, other=0.0), tl.load(freqs + 2 * points + 1, mask=mask, other=0.0)


@triton.jit
def locate(rotations, image, kx, ky, step, limit):
    """Base voxel, place within its cell, whether the conjugate is found there, and whether the point is inside."""
    ax, ay, az = axis(rotations, image, 0)
    bx, by, bz = axis(rotations, image, 1)
    x, y, z = step * (kx * ax + ky * bx), step * (kx * ay + ky * by), step * (kx * az + ky * bz)
    inside = x * x + y * y + z * z <= limit
    flipped = x < 0
    sign = tl.where(inside, tl.where(flipped, -1.0, 1.0), 0.0)
    x, y, z = x * sign, y * sign, z * sign
    base_x, base_y, base_z = tl.floor(x), tl.floor(y), tl.floor(z)
    base = base_x.to(tl.int32), base_y.to(tl.int32), base_z.to(tl.int32)
    return base, (x - base_x, y - base_y, z - base_z), flipped, inside


@triton.jit
def rows_of(row_start, half_width, base):
    """Where the row starts of cells are: pointers to that of (y, z), of which the three others of a cell lie 1,
    2H + 1 and 2H + 2 further on."""
    _, y, z = base
    return row_start + (z + half_width) * (2 * half_width + 1) + y + half_width


@triton.jit
def side(fraction, high: tl.constexpr):
    """The linear weight of the lower or the higher neighbour."""
    return fraction if high else 1 - fraction


@triton.jit
def read_slices(
    coefs,
    factors,
    rotations,
    image,
    kx,
    ky,
    mask,
    row_start,
    half_width,
    step,
    limit,
    n_channels,
    CHANNELS: tl.constexpr,
):
    """Real and imaginary parts of slices of all channels, two tiles (coefficients, CHANNELS)."""
    base, fractions, flipped, inside = locate(rotations, image, kx, ky, step, limit)
    fx, fy, fz = fractions
    inside = inside & mask
    rows = rows_of(row_start, half_width, base)
    channels = tl.arange(0, CHANNELS)[None, :]
    wanted = inside[:, None] & (channels < n_channels)
    re = tl.zeros((kx.shape[0], CHANNELS), tl.float32)
    im = tl.zeros((kx.shape[0], CHANNELS), tl.float32)
    for row in tl.static_range(4):
        first = tl.load(rows + row // 2 * (2 * half_width + 1) + row % 2, mask=inside, other=0) + base[0]
        at = coefs + (first.to(tl.int64) * (2 * n_channels))[:, None] + channels
        across = side(fy, row % 2) * side(fz, row // 2)
        for high in tl.static_range(2):
            weight = (across * side(fx, high))[:, None]
            re += weight * tl.load(at + 2 * high * n_channels, mask=wanted, other=0.0).to(tl.float32)
            im += weight * tl.load(at + (2 * high + 1) * n_channels, mask=wanted, other=0.0).to(tl.float32)
    size = tl.load(factors + channels, mask=channels < n_channels, other=0.0)
    return re * size, im * tl.where(flipped, -1.0, 1.0)[:, None] * size


@triton.jit
def read_slopes(
    coefs, factors, amplitudes, image, first_voxel, rotations, kx, ky, mask, row_start, half_width, step, limit,
    n_channels, CHANNELS: tl.constexpr,
):  # fmt: skip
    """The slice of an image's mixed volume, and its derivatives by the point's place along x, y and z in grid steps:
    real and imaginary parts, each (coefficients,). `first_voxel` is where the image's set of volumes begins."""
    base, fractions, flipped, inside = locate(rotations, image, kx, ky, step, limit)
    fx, fy, fz = fractions
    inside = inside & mask
    rows = rows_of(row_start, half_width, base)
    channels = tl.arange(0, CHANNELS)[None, :]
    known = channels < n_channels
    shares = tl.load(amplitudes + image * n_channels + channels, mask=known, other=0.0)
    shares *= tl.load(factors + channels, mask=known, other=0.0)
    wanted = inside[:, None] & known
    nothing = tl.zeros((kx.shape[0], CHANNELS), tl.float32)
    re, re_x, re_y, re_z = nothing, nothing, nothing, nothing
    im, im_x, im_y, im_z = nothing, nothing, nothing, nothing
    for row in tl.static_range(4):
        first = tl.load(rows + row // 2 * (2 * half_width + 1) + row % 2, mask=inside, other=0) + base[0]
        at = coefs + ((first.to(tl.int64) + first_voxel) * (2 * n_channels))[:, None] + channels
        low_re = tl.load(at, mask=wanted, other=0.0).to(tl.float32)
        low_im = tl.load(at + n_channels, mask=wanted, other=0.0).to(tl.float32)
        high_re = tl.load(at + 2 * n_channels, mask=wanted, other=0.0).to(tl.float32)
        high_im = tl.load(at + 3 * n_channels, mask=wanted, other=0.0).to(tl.float32)
        wy, wz = side(fy, row % 2), side(fz, row // 2)
        along_re, along_im = low_re + fx[:, None] * (high_re - low_re), low_im + fx[:, None] * (high_im - low_im)
        across, by_y, by_z = (wy * wz)[:, None], wz[:, None], wy[:, None]
        re, im = re + across * along_re, im + across * along_im
        re_x, im_x = re_x + across * (high_re - low_re), im_x + across * (high_im - low_im)
        if row % 2:
            re_y, im_y = re_y + by_y * along_re, im_y + by_y * along_im
        else:
            re_y, im_y = re_y - by_y * along_re, im_y - by_y * along_im
        if row // 2:
            re_z, im_z = re_z + by_z * along_re, im_z + by_z * along_im
        else:
            re_z, im_z = re_z - by_z * along_re, im_z - by_z * along_im
    re, im = tl.sum(re * shares, 1), tl.sum(im * shares, 1)
    re_x, im_x = tl.sum(re_x * shares, 1), tl.sum(im_x * shares, 1)
    re_y, im_y = tl.sum(re_y * shares, 1), tl.sum(im_y * shares, 1)
    re_z, im_z = tl.sum(re_z * shares, 1), tl.sum(im_z * shares, 1)
    # Where the conjugate was taken the point was −q.
    sign = tl.where(flipped, -1.0, 1.0)
    return re, sign * im, sign * re_x, im_x, sign * re_y, im_y, sign * re_z, im_z
