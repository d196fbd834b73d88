"""Fourier shell correlation: how far two maps agree, shell by shell, and the resolution that follows.

Shell s holds the frequencies with round(|k|) = s in units of 1/(box · pixel); a curve has box//2 + 1 shells, the last
one at the Nyquist frequency. Shell sums run over the half of Fourier space that a real transform stores, each
coefficient counted as often as it occurs in the whole.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import scipy.fft

from ..errors import DataError

RANDOMISE_BELOW = 0.8
"""Phases are randomised from the first shell where the unmasked curve is below this, RELION's choice."""
SPARED_SHELLS = 2
"""Shells from that one on which keep the masked curve, for the mask smears the edge of the random band into them."""


@dataclass(frozen=True)
class FscCurves:
    """The curves of two half-maps, each (box//2 + 1,) float64; `randomised_from` is a shell, or None if none was."""

    unmasked: np.ndarray
    masked: np.ndarray
    randomised: np.ndarray
    corrected: np.ndarray
    randomised_from: int | None


def fsc(a: np.ndarray, b: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Fourier shell correlation of two maps.

    Parameters
    ----------
    a, b : (D, D, D) real.
    mask : (D, D, D) real, multiplied onto both maps first.

    Returns
    -------
    (D//2 + 1,) float64 in [−1, 1]; 0 where a shell of either map is empty.

    Raises
    ------
    DataError : the shapes differ or are not cubes.
    """
    _require_same_cubes(a, b, mask)
    if mask is not None:
        a, b = a * mask, b * mask
    return _correlation(_transform(a), _transform(b), a.shape[0])


def fsc_corrected(half1: np.ndarray, half2: np.ndarray, mask: np.ndarray, seed: int = 0) -> FscCurves:
    """FSC with the share that the mask itself contributes taken away (Chen et al., Ultramicroscopy 2013).

    Beyond the first shell where the unmasked FSC is below 0.8 both maps get random phases; what correlation they
    still show under the mask, FSC_n, is the mask's own, and FSC_true = (FSC_t − FSC_n) / (1 − FSC_n).

    Parameters
    ----------
    half1, half2, mask : (D, D, D) real.
    seed : of the random phases.
    """
    _require_same_cubes(half1, half2, mask)
    box = half1.shape[0]
    spectrum1, spectrum2 = _transform(half1), _transform(half2)
    unmasked = _correlation(spectrum1, spectrum2, box)
    masked = fsc(half1, half2, mask)
    low = np.flatnonzero(unmasked[1:] < RANDOMISE_BELOW)
    if not len(low):
        return FscCurves(unmasked, masked, masked.copy(), masked.copy(), None)
    first = int(low[0]) + 1
    rng = np.random.default_rng(seed)
    noise1, noise2 = (_random_phases_beyond(s, first, box, rng) for s in (spectrum1, spectrum2))
    randomised = fsc(noise1, noise2, mask)
    curves = FscCurves(unmasked, masked, randomised, masked, first)
    return replace(curves, corrected=mask_corrected(masked, curves))


def mask_corrected(masked: np.ndarray, curves: FscCurves) -> np.ndarray:
    """Curves (…, D//2 + 1) of masked maps without what the mask contributes, as random phases showed it."""
    if curves.randomised_from is None:
        return masked.copy()
    randomised = curves.randomised
    true = (masked - randomised) / np.maximum(1 - randomised, 1e-6)
    beyond = np.arange(len(randomised)) >= curves.randomised_from + SPARED_SHELLS
    return np.where(beyond, np.where(masked > randomised, true, 0.0), masked)


def resolution(curve: np.ndarray, pixel_size_ang: float, box: int, threshold: float = 0.143) -> float:
    """Resolution in angstrom where an FSC curve first falls below `threshold`, interpolated between shells.

    The Nyquist resolution (two pixels) when no shell before the last is below; the last one is not judged, for images
    are band-limited to the circle inside it.
    """
    below = np.flatnonzero(curve[1 : box // 2] < threshold)
    if not len(below):
        return 2.0 * pixel_size_ang
    shell = int(below[0]) + 1
    before, after = (1.0 if shell == 1 else float(curve[shell - 1])), float(curve[shell])
    crossing = shell - 1 + (before - threshold) / (before - after)
    return box * pixel_size_ang / crossing if crossing > 0 else float(box * pixel_size_ang)


def fsc_area(curve: np.ndarray, last_shell: int | None = None) -> float:
    """Area under an FSC curve as a fraction of the possible: the mean over shells 1 … `last_shell` (default: all)."""
    return float(np.mean(curve[1 : None if last_shell is None else last_shell + 1]))


def shell_frequencies(box: int, pixel_size_ang: float) -> np.ndarray:
    """Frequency of each shell in 1/angstrom, (box//2 + 1,)."""
    return np.arange(box // 2 + 1) / (box * pixel_size_ang)


def shell_power(volume: np.ndarray) -> np.ndarray:
    """Mean |F|² of a (D, D, D) map over each shell, (D//2 + 1,) float64; F is the unnormalised transform."""
    box = volume.shape[0]
    shells, weights = _half_space(box)
    power = np.abs(_transform(volume)).ravel() ** 2
    return _shell_sums(power * weights, box) / np.bincount(shells, weights, shells.max() + 1)[: box // 2 + 1]


def shell_products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Re Σ A B* over each shell of the transforms of two (D, D, D) maps, (D//2 + 1,) float64."""
    _require_same_cubes(a, b, None)
    box = a.shape[0]
    first, second = _transform(a), _transform(b)
    return _shell_sums((first.real * second.real + first.imag * second.imag).ravel() * _half_space(box)[1], box)


def _correlation(a: np.ndarray, b: np.ndarray, box: int) -> np.ndarray:
    _, weights = _half_space(box)
    cross = _shell_sums((a.real * b.real + a.imag * b.imag).ravel() * weights, box)
    power = _shell_sums((a.real**2 + a.imag**2).ravel() * weights, box)
    power = power * _shell_sums((b.real**2 + b.imag**2).ravel() * weights, box)
    return np.divide(cross, np.sqrt(power), out=np.zeros_like(cross), where=power > 0)


def _random_phases_beyond(spectrum: np.ndarray, shell: int, box: int, rng: np.random.Generator) -> np.ndarray:
    """The map of `spectrum` with the phases of white noise from `shell` on, amplitudes kept."""
    shells, _ = _half_space(box)
    noise = scipy.fft.rfftn(rng.standard_normal((box, box, box)))
    random = np.abs(spectrum) * np.exp(1j * np.angle(noise))
    mixed = np.where(shells.reshape(spectrum.shape) >= shell, random, spectrum)
    return scipy.fft.irfftn(mixed, s=(box, box, box))


def _transform(volume: np.ndarray) -> np.ndarray:
    return scipy.fft.rfftn(np.asarray(volume, dtype=np.float64))


def _shell_sums(values: np.ndarray, box: int) -> np.ndarray:
    return np.bincount(_half_space(box)[0], values)[: box // 2 + 1]


@lru_cache(maxsize=4)
def _half_space(box: int) -> tuple[np.ndarray, np.ndarray]:
    """Shell of each coefficient of a real transform and how many of the whole space it stands for, both flat."""
    k = np.fft.fftfreq(box, 1 / box)
    kx = np.arange(box // 2 + 1)
    radius = np.sqrt(k[:, None, None] ** 2 + k[None, :, None] ** 2 + kx[None, None, :] ** 2)
    own = (kx == 0) | ((box % 2 == 0) & (kx == box // 2))
    weights = np.broadcast_to(np.where(own, 1.0, 2.0), radius.shape)
    return np.rint(radius).astype(np.int32).ravel(), weights.ravel()


def _require_same_cubes(a: np.ndarray, b: np.ndarray, mask: np.ndarray | None) -> None:
    shapes = {np.shape(x) for x in (a, b, mask) if x is not None}
    if len(shapes) > 1 or len(set(a.shape)) != 1 or a.ndim != 3:
        named = ", ".join(" × ".join(map(str, s)) for s in sorted(shapes))
        raise DataError(f"Maps and mask must be cubes of one size to be compared; these are {named}.")
