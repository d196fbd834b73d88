"""What is known of each image after one look at it: its slices are made and summed in registers, and never stored.

One program per image. Floor: 12 bytes of image per coefficient, and the voxels of 2C numbers that a slice touches; the
products, 4 C² per coefficient, cost less than that on matrix units.
"""

import triton
import triton.language as tl
from torch import Tensor

from .geometry import Geometry, launch, padded, single, sized
from .points import axis, frequencies, read_slices, read_slopes
from .products import add_gram, column, read_complex, with_column

POINTS = sized(32, interpreted=128)
"""Coefficients at a time."""
TWO_PI = tl.constexpr(6.283185307179586)
EXPANDED = 6
"""Columns of `expand`: the slice and its derivatives by the five parameters of a pose."""


def compress(
    coefs: Tensor,
    targets: Tensor,
    weights: Tensor | None,
    rotations: Tensor,
    slopes: Tensor | None,
    geometry: Geometry,
    n_errors: int = 0,
) -> tuple[Tensor, Tensor]:
    """A (B, C + J, C + J) and b (B, C + J), float64; see `Backend.compress` and, with J = `n_errors` 5 or 6,
    `compress_near`. Without weights A is zero."""
    (n, count), n_read = targets.shape, coefs.shape[2]
    n_volumes = n_read - 3 if n_errors else n_read
    n_out = n_volumes + n_errors
    gram, inner = rotations.new_zeros(n, n_out, n_out), rotations.new_empty(n, n_out)
    # An argument that a kernel does not read still has to be one.
    arrays = single(targets, inner if weights is None else weights, rotations, inner if slopes is None else slopes)
    launch(
        _compress, (n,), *geometry.stored(coefs), *arrays, geometry.freqs, *geometry.of_storage, gram, inner,
        count, n_read, n_volumes, n_out,
        ERRORS=n_errors, WEIGHTED=weights is not None, POINTS=POINTS, CHANNELS=padded(max(n_read, n_out)),
    )  # fmt: skip
    both = gram.double()
    return (both + both.mT) / 2, inner.double()


def expand(
    coefs: Tensor,
    first_voxels: Tensor,
    amplitudes: Tensor,
    targets: Tensor,
    weights: Tensor,
    rotations: Tensor,
    shifts: Tensor,
    geometry: Geometry,
) -> tuple[Tensor, Tensor, Tensor]:
    """ℓ (B,), g (B, 5) and H (B, 5, 5), float64; see `Backend.expand`. `first_voxels` (B,) int64: where the volumes of
    each image begin in coefs."""
    (n, count), n_channels = targets.shape, coefs.shape[2]
    gram, inner = rotations.new_zeros(n, EXPANDED, EXPANDED), rotations.new_empty(n, EXPANDED)
    arrays = single(amplitudes, targets, weights, rotations, shifts)
    launch(
        _expand, (n,), *geometry.stored(coefs), *arrays, first_voxels, geometry.freqs, *geometry.of_storage,
        gram, inner, count, n_channels,
        POINTS=POINTS, CHANNELS=padded(n_channels), COLUMNS=padded(EXPANDED),
    )  # fmt: skip
    both, inner = gram.double(), inner.double()
    both = (both + both.mT) / 2
    return inner[:, 0], inner[:, 1:], both[:, 1:, 1:]


@triton.jit
def minus_two_pi_i(re, im):
    """−2πi times a complex number."""
    return im * TWO_PI, -re * TWO_PI


@triton.jit
def with_shifts(re, im, number, kx, ky, u_re, u_im):
    """Tiles with the derivatives of a slice u by shifts along x and y, in boxes, in columns `number` and the next."""
    by_re, by_im = minus_two_pi_i(u_re, u_im)
    re, im = with_column(re, number, kx * by_re), with_column(im, number, kx * by_im)
    return with_column(re, number + 1, ky * by_re), with_column(im, number + 1, ky * by_im)


@triton.jit
def turned(rotations, image, kx, ky, x_re, x_im, y_re, y_im, z_re, z_im, TURN: tl.constexpr):
    """The derivative by a turn of the view about axis `TURN`, of which x, y and z are the derivatives by the place in
    1/box: the turn ω moves the place to Aᵀ (k + k × ω)."""
    if TURN == 2:
        ax, ay, az = axis(rotations, image, 0)
        bx, by, bz = axis(rotations, image, 1)
        px, py, pz = ky * ax - kx * bx, ky * ay - kx * by, ky * az - kx * bz
    else:
        ax, ay, az = axis(rotations, image, 2)
        along = -ky if TURN == 0 else kx
        px, py, pz = along * ax, along * ay, along * az
    return px * x_re + py * y_re + pz * z_re, px * x_im + py * y_im + pz * z_im


@triton.jit
def with_derivatives(re, im, rotations, image, kx, ky, slopes, n_volumes, ERRORS: tl.constexpr):
    """Tiles in which the moments of the first volume have made room for derivatives of its image."""
    u_re, u_im = column(re, 0), column(im, 0)
    # −2πi times a moment is the derivative of the volume's transform by the place.
    x_re, x_im = minus_two_pi_i(column(re, n_volumes), column(im, n_volumes))
    y_re, y_im = minus_two_pi_i(column(re, n_volumes + 1), column(im, n_volumes + 1))
    z_re, z_im = minus_two_pi_i(column(re, n_volumes + 2), column(im, n_volumes + 2))
    for turn in tl.static_range(3):
        t_re, t_im = turned(rotations, image, kx, ky, x_re, x_im, y_re, y_im, z_re, z_im, turn)
        re, im = with_column(re, n_volumes + turn, t_re), with_column(im, n_volumes + turn, t_im)
    re, im = with_shifts(re, im, n_volumes + 3, kx, ky, u_re, u_im)
    if ERRORS == 6:
        re, im = with_column(re, n_volumes + 5, slopes * u_re), with_column(im, n_volumes + 5, slopes * u_im)
    return re, im


@triton.jit
def _compress(
    coefs, factors, targets, weights, rotations, slopes, freqs, row_start, half_width, step, limit, gram, inner,
    count, n_read, n_volumes, n_out,
    ERRORS: tl.constexpr, WEIGHTED: tl.constexpr, POINTS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    image = tl.program_id(0).to(tl.int64)
    channels = tl.arange(0, CHANNELS)
    products = tl.zeros((CHANNELS, CHANNELS), tl.float32)
    sums = tl.zeros((POINTS, CHANNELS), tl.float32)
    for first in range(0, count, POINTS):
        points = first + tl.arange(0, POINTS)
        mask = points < count
        kx, ky = frequencies(freqs, points, mask)
        re, im = read_slices(
            coefs, factors, rotations, image, kx, ky, mask, row_start, half_width, step, limit, n_read, CHANNELS
        )
        at = image * count + points
        if ERRORS > 0:
            by_defocus = tl.load(slopes + at, mask=mask, other=0.0).to(tl.float32) if ERRORS == 6 else kx
            re, im = with_derivatives(re, im, rotations, image, kx, ky, by_defocus, n_volumes, ERRORS)
        t_re, t_im = read_complex(targets, at, mask)
        sums += re * t_re[:, None] + im * t_im[:, None]
        if WEIGHTED:
            products = add_gram(products, re, im, tl.load(weights + at, mask=mask, other=0.0).to(tl.float32))
    kept = channels < n_out
    tl.store(inner + image * n_out + channels, tl.sum(sums, 0), mask=kept)
    if WEIGHTED:
        at = gram + image * n_out * n_out + channels[:, None] * n_out + channels[None, :]
        tl.store(at, products, mask=kept[:, None] & kept[None, :])


@triton.jit
def _expand(
    coefs, factors, amplitudes, targets, weights, rotations, shifts, first_voxels, freqs, row_start, half_width, step,
    limit, gram, inner, count, n_channels, POINTS: tl.constexpr, CHANNELS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    image = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, COLUMNS)
    first_voxel = tl.load(first_voxels + image)
    shift_x, shift_y = tl.load(shifts + 2 * image), tl.load(shifts + 2 * image + 1)
    products = tl.zeros((COLUMNS, COLUMNS), tl.float32)
    sums = tl.zeros((POINTS, COLUMNS), tl.float32)
    for first in range(0, count, POINTS):
        points = first + tl.arange(0, POINTS)
        mask = points < count
        kx, ky = frequencies(freqs, points, mask)
        u_re, u_im, x_re, x_im, y_re, y_im, z_re, z_im = read_slopes(
            coefs, factors, amplitudes, image, first_voxel, rotations, kx, ky, mask, row_start, half_width, step, limit,
            n_channels, CHANNELS,
        )  # fmt: skip
        re = with_column(tl.zeros((POINTS, COLUMNS), tl.float32), 0, u_re)
        im = with_column(tl.zeros((POINTS, COLUMNS), tl.float32), 0, u_im)
        for turn in tl.static_range(3):
            t_re, t_im = turned(rotations, image, kx, ky, x_re, x_im, y_re, y_im, z_re, z_im, turn)
            re, im = with_column(re, 1 + turn, step * t_re), with_column(im, 1 + turn, step * t_im)
        re, im = with_shifts(re, im, 4, kx, ky, u_re, u_im)
        t_re, t_im = moved_targets(targets, image * count + points, mask, kx, ky, shift_x, shift_y)
        w = tl.load(weights + image * count + points, mask=mask, other=0.0)
        # The slice's own column gives the likelihood, Re(u* (y − w u/2)); the others its gradient, Re(J* (y − w u)).
        taken = tl.where(columns == 0, 0.5, 1.0)[None, :] * w[:, None]
        sums += re * (t_re[:, None] - taken * u_re[:, None]) + im * (t_im[:, None] - taken * u_im[:, None])
        products = add_gram(products, re, im, w)
    kept = columns < 6
    tl.store(inner + image * 6 + columns, tl.sum(sums, 0), mask=kept)
    at = gram + image * 36 + columns[:, None] * 6 + columns[None, :]
    tl.store(at, products, mask=kept[:, None] & kept[None, :])


@triton.jit
def moved_targets(targets, at, mask, kx, ky, shift_x, shift_y):
    """Targets moved back by a shift in boxes, t e^{2πi k·shift}: real and imaginary parts."""
    re, im = read_complex(targets, at, mask)
    turns = kx * shift_x + ky * shift_y
    # Whole turns are taken off first: single precision knows the sine of a small angle best.
    angle = (turns - tl.floor(turns + 0.5)) * TWO_PI
    cos, sin = tl.cos(angle), tl.sin(angle)
    return re * cos - im * sin, re * sin + im * cos
