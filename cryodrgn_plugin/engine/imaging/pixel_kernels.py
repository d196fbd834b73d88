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
        total = 0.0
        for p in range(images.shape[1]):
            total += images[b, p] * weights[p]
        # The squares are taken about the mean: grey values may sit far from zero in unsigned stacks.
        centre, scatter = np.float32(total), 0.0
        for p in range(images.shape[1]):
            away = images[b, p] - centre
            scatter += away * away * weights[p]
        mean[b], deviation[b] = centre, math.sqrt(scatter)


@njit(nogil=True, fastmath=FAST, cache=True)
def pick_coefficients(full, positions, signs, of_window, mean, scale, picked):
    """Coefficients of a lattice from whole transforms, less the mean times the window's, scaled.

    Parameters
    ----------
    full : (B, D (D/2 + 1)) complex64, transforms of windowed images.
    positions, signs : (F,) int64 and float32. Where in them each coefficient is, and what centres the origin.
    of_window : (F,) complex64, the window's own coefficients.
    mean, scale : (B,) float32, what is taken off each image and what it is multiplied by then.
    picked : (B, F) complex64, overwritten.
    """
    for b in range(full.shape[0]):
        for f in range(len(positions)):
            value = full[b, positions[f]] - mean[b] * of_window[f]
            picked[b, f] = value * (scale[b] * signs[f])
