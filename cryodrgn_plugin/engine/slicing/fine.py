"""Slices of a map's transform, and turned maps, to about 1e-5 of the exact sum over voxels.

The map is divided by the transform of the interpolation kernel, padded twofold and transformed; a value is then
gathered from 6³ neighbours with the "exponential of a semicircle" kernel of FINUFFT (Barnett, Magland & af Klinteberg
2019, eq. 1.8). Against the exact sum over voxels, relative to the root mean square of the slice, the error is 1e-5,
where trilinear interpolation of the same padded map, with gridding correction, leaves 1e-2.
"""

import numpy as np
from numba import njit
from scipy import fft

_WIDTH = 6
_BETA = 2.3 * _WIDTH
_PADDING = 2


def padded_transform(volume: np.ndarray) -> np.ndarray:
    """What `central_slices` reads: the (2D, 2D, D + 1) complex64 transform of a (D, D, D) map, origin at D//2."""
    box = len(volume)
    padded = _PADDING * box
    weight = 1 / _kernel_transform((np.arange(box) - box // 2) / padded)
    corrected = volume * weight[:, None, None] * weight[:, None] * weight
    big = np.zeros((padded,) * 3, dtype=np.float32)
    big[:box, :box, :box] = corrected
    return fft.rfftn(np.roll(big, -(box // 2), axis=(0, 1, 2)))


def central_slices(transform: np.ndarray, rotations: np.ndarray, box: int) -> np.ndarray:
    """Slices V(Aᵀ [kx, ky, 0]) for |k| < box/2 under rotations A (B, 3, 3): (B, box, box // 2 + 1) complex64, as
    `rfft2`.
    """
    half = box // 2
    kx, ky = np.meshgrid(np.arange(half + 1), np.fft.fftfreq(box, 1 / box).astype(int), indexing="xy")
    inside = kx**2 + ky**2 < half**2
    plane = np.stack([kx[inside], ky[inside]], axis=1).astype(np.float64)
    points = _PADDING * (plane @ np.asarray(rotations, dtype=np.float64)[:, :2])
    values = np.zeros((len(rotations), box, half + 1), dtype=np.complex64)
    values[:, inside] = _gather(transform, points.reshape(-1, 3)).reshape(len(rotations), -1)
    return values


def values_at(transform: np.ndarray, freqs: np.ndarray) -> np.ndarray:
    """V(k) of a padded transform at (n, 3) frequencies (x, y, z) in units of 1/box, n complex64; any |k| < box/2."""
    return _gather(transform, _PADDING * np.asarray(freqs, dtype=np.float64))


def values_and_gradients_at(transform: np.ndarray, freqs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`values_at`, and the derivatives of the values by the frequency, (n, 3) complex64."""
    gradients = np.empty((len(freqs), 3), dtype=np.complex64)
    values = _gather(transform, _PADDING * np.asarray(freqs, dtype=np.float64), gradients)
    return values, _PADDING * gradients


def moved_volume(transform: np.ndarray, rotation: np.ndarray, shift_px: np.ndarray, box: int) -> np.ndarray:
    """The map r → R r + t about the centre of the box, (box, box, box) float32, cut to |k| < box/2.

    A rotation is a slice in three dimensions: V'(k) = V(Rᵀ k) exp(−2πi k·t), with R (3, 3) and t (3,) on (x, y, z).
    """
    half = box // 2
    full, x = np.fft.fftfreq(box, 1 / box), np.arange(half + 1)
    kz, ky, kx = np.meshgrid(full, full, x, indexing="ij")
    inside = kx**2 + ky**2 + kz**2 < half**2
    k = np.stack([kx[inside], ky[inside], kz[inside]], axis=1)
    values = np.zeros(inside.shape, dtype=np.complex64)
    # With the origin at the centre, voxel 0 lies half a box away: a factor of −1 for every odd frequency.
    phase = np.exp(-2j * np.pi * (k @ (np.asarray(shift_px) + half)) / box)
    values[inside] = _gather(transform, _PADDING * (k @ rotation)) * phase
    return fft.irfftn(values, s=(box,) * 3).astype(np.float32)


def cropped_volume(volume: np.ndarray, box: int) -> np.ndarray:
    """(box, box, box) float32: the map (D, D, D) with its transform cut to an even `box` ≤ D, its grey values kept."""
    full, half = len(volume), box // 2
    if box == full:
        return volume.astype(np.float32)
    keep = np.r_[0:half, full - half : full]
    spectrum = fft.rfftn(fft.ifftshift(volume))[np.ix_(keep, keep, np.arange(half + 1))]
    # The planes at half the box have lost their partners; a real map has none there.
    spectrum[half], spectrum[:, half], spectrum[:, :, half] = 0, 0, 0
    return (fft.fftshift(fft.irfftn(spectrum, s=(box,) * 3)) * (box / full) ** 3).astype(np.float32)


def _kernel_transform(x: np.ndarray) -> np.ndarray:
    """∫ kernel(k) cos(2πkx) dk by Gauss–Legendre quadrature; x as a fraction of the padded box."""
    nodes, weights = np.polynomial.legendre.leggauss(60)
    kernel = np.exp(_BETA * (np.sqrt(1 - nodes**2) - 1)) * weights * _WIDTH / 2
    return np.cos(2 * np.pi * np.outer(x, nodes * _WIDTH / 2)) @ kernel


@njit(cache=True, fastmath=True)
def _gather(transform, points, gradients=None):
    """Values at (n, 3) points in units of the padded grid; their derivatives by the point into `gradients` (n, 3), if
    given. Numba drops what `gradients` needs from the code for None.
    """
    padded, half = transform.shape[0], transform.shape[0] // 2
    values = np.empty(len(points), dtype=np.complex64)
    weights, slopes = np.empty((3, _WIDTH)), np.empty((3, _WIDTH))
    taps = np.empty((3, _WIDTH), dtype=np.int64)
    for i in range(len(points)):
        for axis in range(3):
            first = int(np.ceil(points[i, axis] - _WIDTH / 2))
            for tap in range(_WIDTH):
                t = (first + tap - points[i, axis]) / (_WIDTH / 2)
                root = np.sqrt(max(1 - t * t, 0.0))
                weights[axis, tap] = np.exp(_BETA * (root - 1))
                if gradients is not None:
                    slopes[axis, tap] = weights[axis, tap] * _BETA * t / (max(root, 1e-3) * _WIDTH / 2)
                taps[axis, tap] = (first + tap) % padded
        total, slope_x, slope_y, slope_z = 0j, 0j, 0j, 0j
        for c in range(_WIDTH):
            z, minus_z = taps[2, c], -taps[2, c] % padded
            for b in range(_WIDTH):
                y, minus_y = taps[1, b], -taps[1, b] % padded
                re, im, re_x, im_x = 0.0, 0.0, 0.0, 0.0
                for a in range(_WIDTH):
                    # The transform of a real map is stored for x ≤ padded/2 only; the rest is its conjugate.
                    if taps[0, a] <= half:
                        value = transform[z, y, taps[0, a]]
                    else:
                        value = np.conj(transform[minus_z, minus_y, padded - taps[0, a]])
                    re += weights[0, a] * value.real
                    im += weights[0, a] * value.imag
                    if gradients is not None:
                        re_x += slopes[0, a] * value.real
                        im_x += slopes[0, a] * value.imag
                line = re + 1j * im
                total += weights[2, c] * weights[1, b] * line
                if gradients is not None:
                    slope_x += weights[2, c] * weights[1, b] * (re_x + 1j * im_x)
                    slope_y += weights[2, c] * slopes[1, b] * line
                    slope_z += slopes[2, c] * weights[1, b] * line
        values[i] = total
        if gradients is not None:
            gradients[i, 0], gradients[i, 1], gradients[i, 2] = slope_x, slope_y, slope_z
    return values
