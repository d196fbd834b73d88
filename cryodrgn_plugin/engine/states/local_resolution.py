"""Local resolution: where in a map two half-maps agree, and up to which frequency.

In each of a row of overlapping frequency bands the two half-maps are correlated within a Gaussian neighbourhood of
every voxel, as wide as a period or two of the band (in the manner of blocres, Cardone et al. 2013). The local
resolution is where that correlation first falls below the threshold, interpolated between bands.
"""

import numpy as np
import scipy.fft
from scipy.ndimage import gaussian_filter

BANDS = 12
LOWEST_SHELL = 3.0
PERIODS = 1.0
"""Standard deviation of a neighbourhood, in periods of the band."""
THRESHOLD = 0.143


def local_resolution(
    half1: np.ndarray, half2: np.ndarray, pixel_size_ang: float, agreement: np.ndarray | None = None
) -> np.ndarray:
    """Resolution in Å at every voxel, (D, D, D) float32; two pixels where no band falls below the threshold.

    Parameters
    ----------
    half1, half2 : (D, D, D) half-maps.
    agreement : (D//2 + 1,) factor in [0, 1] per shell on the local correlation, for what half-maps share wrongly.
    """
    box = len(half1)
    spectra = [scipy.fft.rfftn(half.astype(np.float32)) for half in (half1, half2)]
    centres = np.geomspace(LOWEST_SHELL, box / 2 - 1, BANDS)
    factor = np.ones(box // 2 + 1) if agreement is None else agreement
    frequency = np.full(half1.shape, centres[0], dtype=np.float32)
    above = np.ones(half1.shape, dtype=bool)
    before = np.ones(half1.shape, dtype=np.float32)
    for number, (weight, centre) in enumerate(zip(_band_weights(box, centres), centres, strict=True)):
        now = _local_correlation(spectra, weight, PERIODS * box / centre, half1.shape)
        now *= float(np.interp(centre, np.arange(len(factor)), factor))
        falls = above & (now < THRESHOLD)
        last = centres[number - 1] if number else centre
        share = (before - THRESHOLD) / np.maximum(before - now, 1e-6)
        frequency[falls] = (last + (centre - last) * np.clip(share, 0, 1))[falls]
        above &= ~falls
        before = now
    frequency[above] = box / 2
    return (box * pixel_size_ang / frequency).astype(np.float32)


def _local_correlation(spectra, weight: np.ndarray, width_px: float, shape: tuple[int, ...]) -> np.ndarray:
    a, b = (scipy.fft.irfftn(spectrum * weight, s=shape) for spectrum in spectra)
    smooth = {"sigma": max(width_px, 1.5), "truncate": 2.5, "mode": "constant"}
    shared = gaussian_filter(a * b, **smooth)
    power = gaussian_filter(a * a, **smooth) * gaussian_filter(b * b, **smooth)
    return (shared / np.sqrt(np.maximum(power, 1e-30))).astype(np.float32)


def _band_weights(box: int, centres: np.ndarray):
    """One band at a time: a raised cosine in the logarithm of the frequency around each centre."""
    full, half = scipy.fft.fftfreq(box, 1 / box), scipy.fft.rfftfreq(box, 1 / box)
    shell = np.sqrt(full[:, None, None] ** 2 + full[None, :, None] ** 2 + half**2)
    step = np.log(centres[1] / centres[0])
    # The logarithm of the frequency in steps between bands; voxel 0 has none and is put far below the first band.
    in_steps = np.log(np.maximum(shell, 1e-3)) / step
    for centre in np.log(centres) / step:
        yield (0.5 + 0.5 * np.cos(np.pi * np.clip(in_steps - centre, -1, 1))).astype(np.float32)
