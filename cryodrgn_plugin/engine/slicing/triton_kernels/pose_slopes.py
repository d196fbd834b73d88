"""Derivatives of a volume's image by its pose and defocus, as slices that can be added up.

Floor: 8 · 8 numbers read per coefficient without reuse, and 2 J written.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from .geometry import Geometry, launch, padded, single, sized
from .image_sums import with_derivatives
from .points import frequencies, read_slices

POINTS = sized(32, interpreted=128)


def weighted_slopes(
    moving: Tensor, weights: Tensor, rotations: Tensor, slopes: Tensor | None, geometry: Geometry
) -> Tensor:
    """w J (B, J, F) complex: the derivatives of `Backend.accumulate_near`, J = 5, or 6 with slopes (B, F)."""
    (n, count), n_errors = weights.shape, 5 if slopes is None else 6
    out = rotations.new_empty(n, n_errors, count, 2)
    arrays = single(weights, rotations, weights if slopes is None else slopes)
    grid = n, triton.cdiv(count, POINTS)
    launch(
        _weighted_slopes, grid, *geometry.stored(moving), *arrays, geometry.freqs, *geometry.of_storage, out, count,
        ERRORS=n_errors, POINTS=POINTS, CHANNELS=padded(1 + n_errors),
    )  # fmt: skip
    return torch.view_as_complex(out)


@triton.jit
def _weighted_slopes(
    moving, factors, weights, rotations, slopes, freqs, row_start, half_width, step, limit, out, count,
    ERRORS: tl.constexpr, POINTS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    image = tl.program_id(0).to(tl.int64)
    points = tl.program_id(1) * POINTS + tl.arange(0, POINTS)
    mask = points < count
    kx, ky = frequencies(freqs, points, mask)
    re, im = read_slices(
        moving, factors, rotations, image, kx, ky, mask, row_start, half_width, step, limit, 4, CHANNELS
    )
    w = tl.load(weights + image * count + points, mask=mask, other=0.0).to(tl.float32)[:, None]
    by_defocus = tl.load(slopes + image * count + points, mask=mask, other=0.0).to(tl.float32)
    re, im = with_derivatives(re, im, rotations, image, kx, ky, by_defocus, 1, ERRORS)
    # Column 0 is the volume's own slice; derivative j stands in column 1 + j.
    errors = tl.arange(0, CHANNELS) - 1
    at = out + ((image * ERRORS + errors)[None, :] * count + points[:, None]) * 2
    written = mask[:, None] & ((errors >= 0) & (errors < ERRORS))[None, :]
    tl.store(at, w * re, mask=written)
    tl.store(at + 1, w * im, mask=written)
