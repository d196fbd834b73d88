"""How well Gaussian beads explain a map, without touching a voxel twice.

Beads of weight w_j at r_j, all of one width s, explain a map M up to

    E(r, o) = −a Σ_j o_j w_j S(r_j) + ½ a² Σ_ij o_i o_j w_i w_j K(r_i − r_j),      S = (M − M̄) * g_s,      K = g_{√2 s},

which is ½ ∫ |M − M̄ − ρ|² but for a constant, ρ = a Σ_j o_j w_j g_s(r − r_j) and g a normalised Gaussian. S is one
Fourier transform of the map and K is closed, so value, gradient and Gauss-Newton curvature by places and occupancies
cost as much as there are pairs of beads, whatever the box. With the map and the beads blurred alike, E is a fit at
lower resolution. Places are (x, y, z) in voxels from voxel D//2. The mean of the map is of the whole box: images tell
little of it.
"""

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numba import njit
from scipy.ndimage import spline_filter

from ..simulate.transform import centre_phase, space_transform, squared_radius

LEAST_WIDTH_PX = 0.9
"""Narrower Gaussians are not what they are called on a grid of voxels."""


@dataclass(frozen=True)
class BeadScale:
    """`amplitude` a in grey values per electron, and the standard deviation s of a bead in the map, in voxels."""

    amplitude: float
    sigma_px: float


class BlurredMap:
    """A map as beads see it: S and its gradient anywhere, at a resolution."""

    def __init__(self, volume: np.ndarray, sigma_px: float, blur_px: float) -> None:
        """volume (D, D, D); beads of `sigma_px` in it; `blur_px`, the Gaussian that both are blurred with."""
        self.box, self.width_px = len(volume), blurred_width(sigma_px, blur_px)
        extra2 = self.width_px**2 - sigma_px**2
        spectrum = scipy.fft.rfftn(volume - volume.mean(), workers=1)
        spectrum *= _gaussian_transform(self.box, extra2 + self.width_px**2)
        seen = scipy.fft.irfftn(spectrum, s=volume.shape, workers=1)
        self._coefficients = spline_filter(seen, mode="grid-wrap")

    def __call__(self, places_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """S (n,) and its gradient (n, 3) at (n, 3) places."""
        return _spline_at(self._coefficients, np.ascontiguousarray(places_px, dtype=np.float64))


def blurred_width(sigma_px: float, blur_px: float) -> float:
    """Standard deviation of a bead after the blur, in voxels."""
    return max(float(np.hypot(sigma_px, blur_px)), LEAST_WIDTH_PX)


def overlaps(places_px: np.ndarray, width_px: float) -> tuple[np.ndarray, np.ndarray]:
    """Overlap K (n, n) of beads at (n, 3) places, and the differences of places (n, n, 3) in units of its variance
    2s²."""
    variance = 2 * width_px**2
    apart = places_px[:, None] - places_px
    norm = (2 * np.pi * variance) ** -1.5
    kernel = norm * np.exp(-np.square(apart).sum(axis=2) / (2 * variance))
    return kernel, apart / variance


def density(places_px: np.ndarray, weights: np.ndarray, width_px: float, box: int) -> np.ndarray:
    """(D, D, D) float32 Σ_j w_j g(r − r_j), cut to the frequencies of the box; the sum over atoms is exact."""
    spectrum = space_transform(places_px / box, np.asarray(weights, np.float32), box)
    spectrum *= np.exp(-2 * np.pi**2 * width_px**2 * squared_radius(box, 3) / box**2) * centre_phase(box, 3)
    return scipy.fft.irfftn(spectrum, s=(box,) * 3).astype(np.float32)


def scale_of(volume: np.ndarray, places_px: np.ndarray, weights: np.ndarray, last_shell: int) -> BeadScale:
    """Amplitude and width of beads that stand where the density is, by a straight line (Guinier's).

    With P the transform of point beads, Re Σ M P* / Σ |P|² over a shell is a exp(−2π²s²r²/D²); its logarithm is fitted
    over the shells from 2 to `last_shell`, each weighted by the power that is explained.
    """
    box = len(volume)
    points = space_transform(places_px / box, np.asarray(weights, np.float32), box)
    seen = scipy.fft.rfftn(volume) * centre_phase(box, 3)
    shell = _shells(box)
    cross = np.bincount(shell, (seen * points.conj()).real.ravel())[: last_shell + 1]
    power = np.bincount(shell, np.square(np.abs(points)).ravel())[: last_shell + 1]
    ratio, radius = cross / np.maximum(power, 1e-30), np.arange(last_shell + 1)
    use = (radius >= 2) & (ratio > 0)
    if use.sum() < 2:
        return BeadScale(max(float(ratio[1:].max(initial=0)), 1e-30), LEAST_WIDTH_PX)
    line = np.polyfit(radius[use] ** 2, np.log(ratio[use]), 1, w=np.sqrt(power[use]) * ratio[use])
    sigma_px = box * np.sqrt(max(-line[0], 0) / 2) / np.pi
    return BeadScale(float(np.exp(line[1])), float(sigma_px))


def _gaussian_transform(box: int, variance_px2: float) -> np.ndarray:
    full, half = np.fft.fftfreq(box), np.fft.rfftfreq(box)
    k2 = full[:, None, None] ** 2 + full[:, None] ** 2 + half**2
    return np.exp(-2 * np.pi**2 * variance_px2 * k2)


def _shells(box: int) -> np.ndarray:
    full, half = np.fft.fftfreq(box, 1 / box), np.arange(box // 2 + 1)
    return np.rint(np.sqrt(full[:, None, None] ** 2 + full[:, None] ** 2 + half**2)).astype(int).ravel()


@njit(cache=True)
def _spline_at(coefficients, places_px):
    """Value and gradient of the cubic B-spline through a periodic map, origin at D//2; places are (x, y, z)."""
    box, n = coefficients.shape[0], len(places_px)
    values, gradients = np.zeros(n), np.zeros((n, 3))
    taps = np.empty((3, 4), dtype=np.int64)
    weight, slope = np.empty((3, 4)), np.empty((3, 4))
    for i in range(n):
        for axis in range(3):
            at = places_px[i, axis] + box // 2
            first = int(np.floor(at))
            t = at - first
            weight[axis, 0], weight[axis, 3] = (1 - t) ** 3 / 6, t**3 / 6
            weight[axis, 1] = (3 * t**3 - 6 * t**2 + 4) / 6
            weight[axis, 2] = (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6
            slope[axis, 0], slope[axis, 3] = -((1 - t) ** 2) / 2, t**2 / 2
            slope[axis, 1] = (3 * t**2 - 4 * t) / 2
            slope[axis, 2] = (-3 * t**2 + 2 * t + 1) / 2
            for tap in range(4):
                taps[axis, tap] = (first - 1 + tap) % box
        for c in range(4):
            for b in range(4):
                for a in range(4):
                    value = coefficients[taps[2, c], taps[1, b], taps[0, a]]
                    values[i] += weight[2, c] * weight[1, b] * weight[0, a] * value
                    gradients[i, 0] += weight[2, c] * weight[1, b] * slope[0, a] * value
                    gradients[i, 1] += weight[2, c] * slope[1, b] * weight[0, a] * value
                    gradients[i, 2] += slope[2, c] * weight[1, b] * weight[0, a] * value
    return values, gradients
