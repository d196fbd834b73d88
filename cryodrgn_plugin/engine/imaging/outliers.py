"""Grey values that no electron made: hot pixels, saturated lines, images that show one grey value all over.

One pixel of 10⁶ in one image is in all of its Fourier coefficients, and through them in every map. What is far out is
told by order statistics, which it cannot move: the middle half of an image's grey values says where its middle is and
how far they scatter. Values further out than `FAR` times that are replaced by the middle.
"""

from dataclasses import dataclass

import numpy as np

FAR = 50.0
"""Standard deviations of the middle half beyond which a grey value is none of the image's. Noise reaches 6 in a million
pixels; gold, ice and a clean image's own molecule stay below 30."""
FAR_FROM_TYPICAL = 20.0
"""The same for noise-free images, which do not scatter: in units of the largest grey value of a typical image."""
MOST_MENDED = 0.1
"""Share of the pixels above which an image with values far out is lost and not mended."""
SAMPLE = 256
"""About how many pixels of an image its middle half is read off first."""
QUARTILES_APART = 1.349
"""Of a normal distribution, in standard deviations."""


@dataclass(frozen=True)
class Mended:
    """Images without values far out, and what was wrong with each of the B."""

    images: np.ndarray
    """(B, D, D) float32; what was given, where nothing is wrong."""
    far_out: np.ndarray
    """(B,) int. Pixels that were replaced."""
    lost: np.ndarray
    """(B,) bool. One grey value nearly all over, or too many far out: the image says nothing."""


def mended(images: np.ndarray, reach: float = 0.0) -> Mended:
    """Replace grey values that are far out by the middle of their image.

    Parameters
    ----------
    images : (B, D, D) float32, finite. An image comes out the same whatever others are beside it.
    reach : how far from the middle a grey value may lie; 0 takes `FAR` times the scatter of the image itself.
    """
    flat = images.reshape(len(images), -1)
    far_out, lost = np.zeros(len(flat), np.int64), np.zeros(len(flat), bool)
    suspicious = np.flatnonzero(_suspicious(flat, reach))
    flat = flat.copy() if len(suspicious) else flat
    for number in suspicious:
        image = flat[number]
        middle, spread = _middle_half(np.sort(image))
        odd = np.abs(image - middle) > (reach or FAR * spread)
        far_out[number] = odd.sum()
        lost[number] = (not reach and spread == 0) or odd.mean() > MOST_MENDED or np.ptp(image[~odd]) == 0
        image[odd] = middle
    return Mended(flat.reshape(images.shape), far_out, lost)


def typical_reach(images: np.ndarray) -> float:
    """How far grey values of noise-free images may lie from the middle: many times what typical ones (B, D, D) have."""
    flat = images.reshape(len(images), -1)
    return FAR_FROM_TYPICAL * float(np.median(np.ptp(flat, axis=1)))


def _suspicious(flat: np.ndarray, reach: float) -> np.ndarray:
    """(B,) bool. Whether the extreme values of an image may be far out, by a part of its pixels. Cheap, not exact."""
    step = max(1, flat.shape[1] // SAMPLE) | 1  # odd, to meet all columns
    middle, spread = _middle_half(np.sort(flat[:, ::step], axis=1))
    limit = reach / 2 if reach else FAR / 2 * spread
    high, low = flat.max(axis=1), flat.min(axis=1)
    return (high - middle > limit) | (middle - low > limit) | (high == low)


def _middle_half(ordered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median and standard deviation of values (…, n) in rising order, from the quartiles.

    Where half of the values are equal, as in counts of few electrons, the scatter is that of all but one in twenty at
    either end.
    """
    n = ordered.shape[-1]
    spread = (ordered[..., 3 * n // 4] - ordered[..., n // 4]) / QUARTILES_APART
    if np.any(spread == 0):
        spread = np.where(spread == 0, ordered[..., n // 20 : n - n // 20].std(axis=-1), spread)
    return ordered[..., n // 2], spread
