"""Kernels that spread points over a periodic grid, and read a grid at points (numba). One thread serves an image.

The window is the exponential of a semicircle, φ(x) = exp(β (√(1 − (2x/w)²) − 1)) within w/2 grid steps (Barnett,
Magland, af Klinteberg, SIAM J. Sci. Comput. 41, 2019), a product over the axes: of each point w values per axis are
computed once, and w² or w³ products are added.
"""

import math

import numpy as np
from numba import njit, prange


@njit(cache=True)
def _window(place, size, width, beta, values, slopes):
    """First grid point of the window around `place` (grid steps from 0), φ there and dφ/dplace."""
    first = int(math.ceil(place - 0.5 * width))
    for i in range(width):
        u = 2.0 * (first + i - place) / width
        root = math.sqrt(max(1.0 - u * u, 1e-12))
        value = math.exp(beta * (root - 1.0))
        values[i] = value
        slopes[i] = value * beta * u / root * 2.0 / width
    return first % size


@njit(parallel=True, cache=True)
def splat_planes(places, amplitudes, width, beta, grid):
    """grid[b, y, x] += Σ_j a_j φ(x − x_j) φ(y − y_j). places (B, n, 2) as (x, y) in grid steps, amplitudes (B, n),
    grid (B, M, M), periodic."""
    size = grid.shape[1]
    for b in prange(len(places)):
        wx, wy, unused = np.empty(width), np.empty(width), np.empty(width)
        for j in range(places.shape[1]):
            x0 = _window(places[b, j, 0], size, width, beta, wx, unused)
            y0 = _window(places[b, j, 1], size, width, beta, wy, unused)
            for r in range(width):
                y = y0 + r if y0 + r < size else y0 + r - size
                row = amplitudes[b, j] * wy[r]
                for c in range(width):
                    x = x0 + c if x0 + c < size else x0 + c - size
                    grid[b, y, x] += row * wx[c]


@njit(parallel=True, cache=True)
def read_planes(places, amplitudes, width, beta, grid, by_places, by_amplitudes):
    """Derivatives of Σ grid · (what `splat_planes` adds) by places (B, n, 2) and amplitudes (B, n)."""
    size = grid.shape[1]
    for b in prange(len(places)):
        wx, wy, sx, sy = np.empty(width), np.empty(width), np.empty(width), np.empty(width)
        for j in range(places.shape[1]):
            x0 = _window(places[b, j, 0], size, width, beta, wx, sx)
            y0 = _window(places[b, j, 1], size, width, beta, wy, sy)
            value, by_x, by_y = 0.0, 0.0, 0.0
            for r in range(width):
                y = y0 + r if y0 + r < size else y0 + r - size
                along, slope = 0.0, 0.0
                for c in range(width):
                    x = x0 + c if x0 + c < size else x0 + c - size
                    along += grid[b, y, x] * wx[c]
                    slope += grid[b, y, x] * sx[c]
                value += along * wy[r]
                by_x += slope * wy[r]
                by_y += along * sy[r]
            by_amplitudes[b, j] = value
            by_places[b, j, 0] = amplitudes[b, j] * by_x
            by_places[b, j, 1] = amplitudes[b, j] * by_y


@njit(cache=True)
def splat_cube(places, amplitudes, width, beta, grid):
    """The same in space: places (n, 3) as (x, y, z), grid (M, M, M) as [z, y, x]."""
    size = len(grid)
    wx, wy, wz, unused = np.empty(width), np.empty(width), np.empty(width), np.empty(width)
    for j in range(len(places)):
        x0 = _window(places[j, 0], size, width, beta, wx, unused)
        y0 = _window(places[j, 1], size, width, beta, wy, unused)
        z0 = _window(places[j, 2], size, width, beta, wz, unused)
        for p in range(width):
            for r in range(width):
                row = amplitudes[j] * wz[p] * wy[r]
                for c in range(width):
                    grid[(z0 + p) % size, (y0 + r) % size, (x0 + c) % size] += row * wx[c]


@njit(cache=True)
def read_cube(places, amplitudes, width, beta, grid, by_places, by_amplitudes):
    """Derivatives of Σ grid · (what `splat_cube` adds) by places (n, 3) and amplitudes (n,)."""
    size = len(grid)
    wx, wy, wz = np.empty(width), np.empty(width), np.empty(width)
    sx, sy, sz = np.empty(width), np.empty(width), np.empty(width)
    for j in range(len(places)):
        x0 = _window(places[j, 0], size, width, beta, wx, sx)
        y0 = _window(places[j, 1], size, width, beta, wy, sy)
        z0 = _window(places[j, 2], size, width, beta, wz, sz)
        value, by_x, by_y, by_z = 0.0, 0.0, 0.0, 0.0
        for p in range(width):
            for r in range(width):
                along, slope = 0.0, 0.0
                for c in range(width):
                    there = grid[(z0 + p) % size, (y0 + r) % size, (x0 + c) % size]
                    along += there * wx[c]
                    slope += there * sx[c]
                value += along * wy[r] * wz[p]
                by_x += slope * wy[r] * wz[p]
                by_y += along * sy[r] * wz[p]
                by_z += along * wy[r] * sz[p]
        by_amplitudes[j] = value
        by_places[j, 0] = amplitudes[j] * by_x
        by_places[j, 1] = amplitudes[j] * by_y
        by_places[j, 2] = amplitudes[j] * by_z
