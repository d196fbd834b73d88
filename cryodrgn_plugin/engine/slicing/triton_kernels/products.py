"""Sums over coefficients that end in small matrices: w Re(u* uᵀ) and Re(u* t) of a tile, added up in registers.

Products of tiles run on matrix units in three passes of tf32, which keeps single precision's digits ("tf32x3").
"""

import triton
import triton.language as tl

PRECISION = tl.constexpr("tf32x3")


@triton.jit
def add_gram(gram, re, im, weights):
    """gram (C, C) + Σ_f w Re(u* uᵀ), u (F, C)."""
    left_re, left_im = weights[:, None] * re, weights[:, None] * im
    if re.shape[1] < 16:
        gram += tl.sum(left_re[:, :, None] * re[:, None, :] + left_im[:, :, None] * im[:, None, :], 0)
    else:
        gram = tl.dot(tl.trans(left_re), re, gram, input_precision=PRECISION)
        gram = tl.dot(tl.trans(left_im), im, gram, input_precision=PRECISION)
    return gram


@triton.jit
def read_complex(values, at, mask):
    """Real and imaginary parts, stored side by side, in single precision."""
    re = tl.load(values + 2 * at, mask=mask, other=0.0)
    im = tl.load(values + 2 * at + 1, mask=mask, other=0.0)
    return re.to(tl.float32), im.to(tl.float32)


@triton.jit
def column(tile, number):
    """Column `number` of a tile."""
    return tl.sum(tl.where((tl.arange(0, tile.shape[1]) == number)[None, :], tile, 0.0), 1)


@triton.jit
def with_column(tile, number, values):
    """The tile with `values` in column `number`."""
    return tl.where((tl.arange(0, tile.shape[1]) == number)[None, :], values[:, None], tile)
