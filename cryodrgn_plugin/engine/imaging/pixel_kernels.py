"""The passes over pixels and coefficients that every image takes as it is prepared, each in one loop (numba).

An image comes out the same to the last bit whatever others are beside it: each is summed by itself, in one order. The
kernels let go of Python's lock, so that threads prepare images side by side.
"""

import math

import numpy as np
from numba import njit

FAST = {"reassoc", "contract", "nsz"}
"""Sums may be taken in the order that vectors like; a NaN stays visible."""


@njit(nogil=True, fastmath=FAST, cache=True)
def weighted_statistics(images, weights, mean, deviation):
    """Weighted mean and standard deviation of each image.

    Parameters
    ----------
    images : (B, P) float32.
    weights : (P,) float32, of sum 1.
    mean, deviation : (B,) float32, overwritten.
    """
    for b in range(images.shape[0]):
        mean[b], deviation[b] = _statistics(images[b], weights)


@njit(nogil=True, fastmath=FAST, cache=True)
def windowed_statistics(images, weights, window, mean, deviation):
    """`weighted_statistics`, and then the images times a window, while an image is at hand.

    images : (B, P) float32, changed in place.
    weights, window : (P,) float32, the weights of sum 1.
    mean, deviation : (B,) float32, overwritten.
    """
    for b in range(images.shape[0]):
        image = images[b]
        mean[b], deviation[b] = _statistics(image, weights)
        for p in range(len(image)):
            image[p] *= window[p]


@njit(inline="always")
def _statistics(image, weights):
    total = 0.0
    for p in range(len(image)):
        total += image[p] * weights[p]
    # The squares are taken about the mean: grey values may sit far from zero in unsigned stacks.
    centre, scatter = np.float32(total), 0.0
    for p in range(len(image)):
        away = image[p] - centre
        scatter += away * away * weights[p]
    return centre, math.sqrt(scatter)


BINS = 18
"""Of equal width, from an image's least to its largest grey value."""
NARROWEST = 1e-30
_SIGN, _REST = np.int32(31), np.int32(0x7FFFFFFF)


@njit(nogil=True, cache=True)
def survey(images, step, low, high, sums, crowding):
    """What one look at each image shows; all but the first two are overwritten.

    Parameters
    ----------
    images : (B, P) float32.
    step : of how many pixels one is counted in `crowding`.
    low, high : (B,) float32. Least and largest grey value; a NaN is either of them, and not finite.
    sums : (B,) uint64. Of the bits of all pixels.
    crowding : (B,) float32. Largest share of the counted pixels that lies in two neighbouring of the `BINS`; 1 where
        grey values are not finite or as good as equal.
    """
    bits, counts = images.view(np.int32), np.empty(BINS + 2, np.int64)
    ends = np.empty(2, np.int32)
    for b in range(images.shape[0]):
        image, pixels = images[b], bits[b]
        least, most, total = np.int32(0x7FFFFFFF), np.int32(-0x80000000), np.uint64(0)
        # As whole numbers, those of negative numbers turned, bits are in the order of what they stand for.
        for p in range(len(pixels)):
            value = pixels[p] ^ ((pixels[p] >> _SIGN) & _REST)
            least, most = min(least, value), max(most, value)
            total += np.uint64(np.uint32(pixels[p]))
        ends[0], ends[1] = least ^ ((least >> _SIGN) & _REST), most ^ ((most >> _SIGN) & _REST)
        low[b], high[b] = ends.view(np.float32)
        sums[b], crowding[b] = total, 1
        width = high[b] - low[b]
        if not NARROWEST < width < np.inf:
            continue
        counts[:] = 0
        for p in range(0, len(image), step):
            counts[int((image[p] - low[b]) * (np.float32(BINS) / width))] += 1
        crowded = 0
        for k in range(BINS + 1):
            crowded = max(crowded, counts[k] + counts[k + 1])
        crowding[b] = crowded / counts.sum()


@njit(nogil=True, fastmath=FAST, cache=True)
def pick_coefficients(full, positions, signs, of_window, mean, scale, picked):
    """Coefficients of a lattice from whole transforms, less the mean times the window's, scaled.

    They are first fetched as whole numbers of 8 bytes and then worked on as real numbers side by side: either is a loop
    of vectors, where complex numbers from anywhere are not.

    Parameters
    ----------
    full : (B, D (D/2 + 1)) complex64, transforms of windowed images.
    positions : (F,) int64. Where in them each coefficient is.
    signs, of_window : (2F,) float32, of real and imaginary parts: what centres the origin, and the window's own.
    mean, scale : (B,) float32, what is taken off each image and what it is multiplied by then.
    picked : (B, F) complex64, overwritten.
    """
    fetched, placed, parts = full.view(np.int64), picked.view(np.int64), picked.view(np.float32)
    for b in range(full.shape[0]):
        source, target, values = fetched[b], placed[b], parts[b]
        for f in range(len(positions)):
            target[f] = source[positions[f]]
        for k in range(len(signs)):
            values[k] = (values[k] - mean[b] * of_window[k]) * (scale[b] * signs[k])
