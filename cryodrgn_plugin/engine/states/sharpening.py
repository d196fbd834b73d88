"""Sharpening: a B-factor from Guinier's plot, weights by how sure each shell is, and an end to the frequencies.

Rosenthal and Henderson (J. Mol. Biol. 2003): beyond about 10 Å the amplitudes of a protein are level, so the slope of
ln⟨|F|⟩ against 1/d² is the B-factor that blurs the map; each shell counts by its expected correlation with the truth.
"""

from dataclasses import dataclass

import numpy as np
import scipy.fft

from ..reconstruction.fsc import shell_frequencies, shell_power

SHAPE_ENDS_ANG = 10.0
"""Coarser than this the shape of the molecule decides the amplitudes, and Guinier's plot is not a line."""
FEWEST_SHELLS = 4
"""That a slope is fitted to."""
EDGE_SHELLS = 2.0
"""Width of the cosine edge of the low-pass."""


@dataclass(frozen=True)
class Guinier:
    """`b_factor_ang2` that blurs the map (positive; 0 where it cannot be measured), with the line that was fitted."""

    b_factor_ang2: float
    intercept: float
    shells: tuple[int, int]
    """First and last shell of the fit; equal when there was nothing to fit."""


def guinier(volume: np.ndarray, pixel_size_ang: float, resolution_ang: float, weights: np.ndarray) -> Guinier:
    """Fit ln(C |F|) = a − B/4 · 1/d² from 10 Å to the resolution, C the weights (D//2 + 1,) of `sharpened`."""
    frequency = shell_frequencies(len(volume), pixel_size_ang)
    amplitude = np.sqrt(shell_power(volume)) * weights
    inside = (frequency >= 1 / SHAPE_ENDS_ANG) & (frequency <= 1 / resolution_ang) & (amplitude > 0)
    inside[-1] = False
    shells = np.flatnonzero(inside)
    if len(shells) < FEWEST_SHELLS:
        return Guinier(0.0, 0.0, (0, 0))
    slope, intercept = np.polyfit(frequency[shells] ** 2, np.log(amplitude[shells]), 1)
    return Guinier(float(max(-4 * slope, 0.0)), float(intercept), (int(shells[0]), int(shells[-1])))


def sharpened(
    volume: np.ndarray, pixel_size_ang: float, b_factor_ang2: float, lowpass_ang: float, weights: np.ndarray
) -> np.ndarray:
    """The map with B taken off, each shell weighted, and nothing finer than the low-pass; (D, D, D) float32.

    Parameters
    ----------
    b_factor_ang2 : B that blurs the map, positive; amplitudes are multiplied by exp(+B/4 · 1/d²).
    lowpass_ang : where a cosine edge of two shells begins.
    weights : (D//2 + 1,) in [0, 1], the FSC with the truth that is expected of `volume`.
    """
    box = len(volume)
    full, half = scipy.fft.fftfreq(box, 1 / box), scipy.fft.rfftfreq(box, 1 / box)
    shell = np.sqrt(full[:, None, None] ** 2 + full[None, :, None] ** 2 + half**2)
    frequency2 = (shell / (box * pixel_size_ang)) ** 2
    last = min(box * pixel_size_ang / lowpass_ang, box / 2)
    edge = 0.5 + 0.5 * np.cos(np.pi * np.clip((shell - last) / EDGE_SHELLS, 0, 1))
    gain = np.exp(b_factor_ang2 / 4 * np.minimum(frequency2, (last + EDGE_SHELLS) ** 2 / (box * pixel_size_ang) ** 2))
    certain = np.interp(shell, np.arange(box // 2 + 1), np.clip(weights, 0, 1))
    spectrum = scipy.fft.rfftn(volume.astype(np.float64)) * (gain * edge * certain)
    return scipy.fft.irfftn(spectrum, s=volume.shape).astype(np.float32)
