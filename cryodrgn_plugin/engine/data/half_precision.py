"""Spectra in half precision and back (numba): what the image store holds.

A spectrum is divided by a power of two of its own, which puts its largest part just below 2¹⁴, and rounded to 11 bits:
an error of 2⁻¹² of each part at most, and none that depends on its neighbours. Parts that are smaller than the largest
by 2²⁸ become 0. The bits are those of IEEE's binary16, without its subnormal numbers.
"""

import math

import numpy as np
from numba import njit

LARGEST_EXPONENT = 14
_SIZE = np.uint32(0x7FFF)
"""All bits of a half but its sign."""
_BITS = np.uint32(13)
"""By which the fraction of a half is shorter."""
_LIFT = np.uint32((127 - 15) << 23)
"""Between the offsets of the exponents, at the exponent's place in single precision."""


@njit(nogil=True, cache=True)
def to_halves(parts, places, edges, halves, scale):
    """Round spectra to half precision and put each into its place.

    Parameters
    ----------
    parts : (B, 2F) uint32, the bits of real and imaginary parts in single precision; finite.
    places : (B,) int64. Which of the n images in `halves` and `scale` each is.
    edges : (K + 1,) int64. Where in the 2F parts each of K bands begins, and where the last ends.
    halves : (n · 2F,) uint16, band after band and in each of them image after image; those of the B are overwritten.
    scale : (n,) float32, likewise: halves times this are the spectra.
    """
    n = len(scale)
    sign_bit, rest = np.uint32(0x8000), np.uint32(0x7FFFFFFF)
    for b in range(parts.shape[0]):
        largest = np.uint32(0)
        for f in range(parts.shape[1]):
            largest = max(largest, parts[b, f] & rest)
        exponent = np.int64(largest >> np.uint32(23))
        # Bits are counted as numbers: adding to them at the place of the exponent multiplies by a power of two.
        shift = np.int64(127 + LARGEST_EXPONENT - 1) - exponent if exponent else np.int64(0)
        scale[places[b]] = math.ldexp(1.0, -shift)
        offset = np.int64(_LIFT) - (shift << 23)
        smallest = offset + (1 << 23)
        for k in range(len(edges) - 1):
            band, width = parts[b, edges[k] : edges[k + 1]], edges[k + 1] - edges[k]
            begin = n * edges[k] + places[b] * width
            target = halves[begin : begin + width]
            for f in range(width):
                bits = np.int64(band[f] & rest)
                rounded = (bits - offset + 0x0FFF + ((bits >> 13) & 1)) >> 13
                sign = (band[f] >> np.uint32(16)) & sign_bit
                target[f] = np.uint16(sign | np.uint32(rounded if bits >= smallest else 0))


@njit(nogil=True, cache=True)
def from_halves(halves, scale, parts, first):
    """Spectra in single precision again.

    Parameters
    ----------
    halves : (B, n) uint16 of n parts.
    scale : (B,) float32.
    parts : (B, P) float32. Columns from `first` on are overwritten, up to n of them as far as they reach.
    """
    count = min(halves.shape[1], parts.shape[1] - first)
    bits = parts.view(np.uint32)
    for b in range(halves.shape[0]):
        given, lifted, values = halves[b, :count], bits[b, first : first + count], parts[b, first : first + count]
        for f in range(count):
            half = np.uint32(given[f])
            size = half & _SIZE
            whole = ((half ^ size) << np.uint32(16)) | ((size << _BITS) + _LIFT)
            lifted[f] = whole if size else np.uint32(0)
        factor = scale[b]
        for f in range(count):
            values[f] *= factor
