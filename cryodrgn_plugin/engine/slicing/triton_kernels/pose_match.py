"""Images against their own candidate poses: slices stay in registers, and shifts are two matrix products.

With u the slice and y the image moved by the candidate's own shift, further shifts have Re(u* y e^{iφ}) =
Re(u* y) cos φ − Im(u* y) sin φ: the waves of a pattern, shared by all images and poses, stand on the right of a product
over coefficients. One program per image and candidate. Floor as of `image_sums`, times the candidates.
"""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from .geometry import SMALLEST_PRODUCT, Geometry, launch, padded, single, sized
from .image_sums import moved_targets
from .points import frequencies, read_slices
from .products import PRECISION, add_gram

POINTS = sized(32, interpreted=128)


def match(
    coefs: Tensor,
    targets: Tensor,
    weights: Tensor,
    rotations: Tensor,
    centres: Tensor,
    pattern: Tensor,
    geometry: Geometry,
) -> tuple[Tensor, Tensor]:
    """(B, P, C(C + 1)/2) and (B, P, C, T), float32; see `Backend.match`."""
    (n, count), n_candidates, n_channels = targets.shape, rotations.shape[1], coefs.shape[2]
    n_shifts = len(pattern)
    angle = 2 * math.pi * geometry.freqs[:count].double() @ pattern.double().T
    waves = torch.stack([angle.cos(), -angle.sin()]).float()
    gram = rotations.new_empty(n, n_candidates, n_channels * (n_channels + 1) // 2)
    inner = rotations.new_empty(n, n_candidates, n_channels, n_shifts)
    arrays = single(targets, weights, rotations, centres, waves)
    launch(
        _match, (n * n_candidates,), *geometry.stored(coefs), *arrays, geometry.freqs, *geometry.of_storage,
        gram, inner, count, n_candidates, n_channels, n_shifts,
        POINTS=POINTS, ROWS=max(padded(n_channels), SMALLEST_PRODUCT),
        SHIFTS=max(padded(n_shifts), SMALLEST_PRODUCT),
    )  # fmt: skip
    return gram, inner


@triton.jit
def _match(
    coefs, factors, targets, weights, rotations, centres, waves, freqs, row_start, half_width, step, limit, gram, inner,
    count, n_candidates, n_channels, n_shifts,
    POINTS: tl.constexpr, ROWS: tl.constexpr, SHIFTS: tl.constexpr,
):  # fmt: skip
    pose = tl.program_id(0).to(tl.int64)
    image = pose // n_candidates
    shift_x, shift_y = tl.load(centres + 2 * pose), tl.load(centres + 2 * pose + 1)
    channels, shifts = tl.arange(0, ROWS), tl.arange(0, SHIFTS)
    products = tl.zeros((ROWS, ROWS), tl.float32)
    sums = tl.zeros((ROWS, SHIFTS), tl.float32)
    for first in range(0, count, POINTS):
        points = first + tl.arange(0, POINTS)
        mask = points < count
        kx, ky = frequencies(freqs, points, mask)
        re, im = read_slices(
            coefs, factors, rotations, pose, kx, ky, mask, row_start, half_width, step, limit, n_channels, ROWS
        )
        at = image * count + points
        y_re, y_im = moved_targets(targets, at, mask, kx, ky, shift_x, shift_y)
        along = re * y_re[:, None] + im * y_im[:, None]
        across = re * y_im[:, None] - im * y_re[:, None]
        wave = waves + points[:, None] * n_shifts + shifts[None, :]
        wanted = mask[:, None] & (shifts < n_shifts)[None, :]
        cos = tl.load(wave, mask=wanted, other=0.0)
        minus_sin = tl.load(wave + count * n_shifts, mask=wanted, other=0.0)
        sums = tl.dot(tl.trans(along), cos, sums, input_precision=PRECISION)
        sums = tl.dot(tl.trans(across), minus_sin, sums, input_precision=PRECISION)
        products = add_gram(products, re, im, tl.load(weights + at, mask=mask, other=0.0))
    kept = channels < n_channels
    at = inner + (pose * n_channels + channels)[:, None] * n_shifts + shifts[None, :]
    tl.store(at, sums, mask=kept[:, None] & (shifts < n_shifts)[None, :])
    lower = kept[:, None] & (channels[None, :] <= channels[:, None])
    row = channels * (channels + 1) // 2
    terms = n_channels * (n_channels + 1) // 2
    tl.store(gram + pose * terms + row[:, None] + channels[None, :], products, mask=lower)
