"""Maps that are local where things move and global where they do not: a Wiener filter in space and frequency.

Two half-maps say, in each band of frequencies and each neighbourhood, how much of the density is shared and how much is
noise. Where a basis volume has no signal (solvent, or the part that stands still) it is taken to zero there, and
everything else keeps the detail that its own data support.
"""

from collections.abc import Iterator

import numpy as np
import scipy.fft
from scipy.ndimage import gaussian_filter

from .. import threads

N_BANDS = 5
LOWEST_BAND = 4.0
"""Shell at which the lowest band is centred."""
NEIGHBOURHOOD = 0.7
"""Standard deviation of a neighbourhood, in periods of the band's frequency."""


def local_wiener(half1: np.ndarray, half2: np.ndarray) -> np.ndarray:
    """Combine two half-maps by what they share, locally.

    Parameters
    ----------
    half1, half2 : (D, D, D) from independent halves of the data.

    Returns
    -------
    (D, D, D) float32. Their mean times 2c/(1 + c) in each band and neighbourhood, c the local correlation (0 where
    negative): the Wiener factor of all data, from the correlation of two halves.
    """
    total = np.zeros(half1.shape, dtype=np.float32)
    for a, b, correlation in _compared(half1, half2):
        total += (a + b) * (correlation / (1 + correlation))
    return total


def filtered_halves(half1: np.ndarray, half2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two half-maps (D, D, D), each times the local correlation: the Wiener factor of half of the data."""
    filtered = np.zeros((2, *half1.shape), dtype=np.float32)
    for a, b, correlation in _compared(half1, half2):
        filtered[0] += a * correlation
        filtered[1] += b * correlation
    return filtered[0], filtered[1]


def _compared(half1: np.ndarray, half2: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The two in one band of frequencies after the other, with their local correlation (0 where negative)."""
    box = len(half1)
    spectra = [scipy.fft.rfftn(half.astype(np.float32), workers=threads.available()) for half in (half1, half2)]
    for weight, centre in _bands(box):
        a, b = (scipy.fft.irfftn(spectrum * weight, s=half1.shape, workers=threads.available()) for spectrum in spectra)
        width = max(NEIGHBOURHOOD * box / centre, 1.5)
        shared = gaussian_filter(a * b, width, truncate=3)
        own = gaussian_filter((a**2 + b**2) / 2, width, truncate=3)
        yield a, b, np.clip(shared / np.maximum(own, 1e-30), 0, 1)


def _bands(box: int) -> list[tuple[np.ndarray, float]]:
    """Overlapping bands that sum to 1 over the half-transform, (D, D, D//2 + 1) each, with their central shell."""
    full, half = scipy.fft.fftfreq(box, 1 / box), scipy.fft.rfftfreq(box, 1 / box)
    shell = np.sqrt(full[:, None, None] ** 2 + full[None, :, None] ** 2 + half**2)
    centres = np.geomspace(LOWEST_BAND, box / 2, N_BANDS)
    # Where each frequency lies among the bands, on a logarithmic scale: a band reaches from one neighbour to the other.
    among_bands = np.interp(np.log(np.maximum(shell, 1e-3)), np.log(centres), np.arange(N_BANDS)).astype(np.float32)
    return [(np.clip(1 - np.abs(among_bands - i), 0, 1), float(centre)) for i, centre in enumerate(centres)]
