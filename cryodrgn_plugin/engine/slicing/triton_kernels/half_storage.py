"""Volumes in half precision, for kernels that sum in single: half the bytes of a gather.

Transforms fall by many orders of magnitude from the origin to the limit, and half precision spans nine to the digit. So
every volume is divided by a power of two that brings its largest coefficient to the upper end; kernels multiply slices
by it again.
"""

import torch
from torch import Tensor

TOP = 14
"""Largest coefficients come to at most 2^14 to 2^15; half precision ends at 2^16."""


def in_half(coefs: Tensor) -> tuple[Tensor, Tensor]:
    """(M, 2, C) float16 of coefs (M, 2, C), and (C,) float32 powers of two that its slices have to be multiplied by."""
    largest = coefs.abs().amax((0, 1))
    exponent = torch.where(largest > 0, torch.log2(largest).floor() - TOP, 0.0)
    factors = torch.exp2(exponent)
    return (coefs / factors).to(torch.float16), factors
