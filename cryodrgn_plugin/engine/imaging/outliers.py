"""Grey values that no electron made: hot pixels, saturated lines, images that show one grey value all over.

One pixel of 10⁶ in one image is in all of its Fourier coefficients, and through them in every map. What is far out is
told by order statistics, which it cannot move: the middle half of an image's grey values says where its middle is and
how far they scatter. Values further out than `FAR` times that are replaced by the middle.
"""

from dataclasses import dataclass, fields

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
class Seen:
    """What was seen at each of B images, every field (B,)."""

    low: np.ndarray
    """float32. The least grey value, those far out aside."""
    high: np.ndarray
    """float32. The largest."""
    fingerprint: np.ndarray
    """uint64. Sum of the bits of what was given: equal for equal images; by chance for others, hardly ever."""
    crowding: np.ndarray
    """float32. Largest share of the pixels that lies in two neighbouring of some bins; see `pixel_kernels.survey`."""
    far_out: np.ndarray
    """int64. Pixels that were replaced."""
    lost: np.ndarray
    """bool. One grey value nearly all over, or too many far out: the image says nothing."""

    @classmethod
    def nothing(cls, n: int) -> "Seen":
        """Before any of n images was looked at."""
        kinds = np.float32, np.float32, np.uint64, np.float32, np.int64, bool
        return cls(*(np.zeros(n, kind) for kind in kinds))

    def look_at(self, some: slice, images: np.ndarray) -> None:
        """Put in what some of the B, images (n, D, D) float32, show, but whether anything is far out."""
        from .pixel_kernels import survey

        flat = images.reshape(len(images), -1)
        seen = self.low[some], self.high[some], self.fingerprint[some], self.crowding[some]
        survey(flat, _step(flat), *seen)

    def put(self, places: np.ndarray, seen: "Seen") -> None:
        """Put in what was seen at images at some of the B places."""
        for name in (field.name for field in fields(self)):
            getattr(self, name)[places] = getattr(seen, name)

    @property
    def finite(self) -> np.ndarray:
        """(B,) bool. No NaN and no infinite value."""
        return np.isfinite(self.low) & np.isfinite(self.high)

    @property
    def largest(self) -> np.ndarray:
        """(B,) float32. Of the grey values without their sign."""
        return np.maximum(self.high, -self.low)

    def suspicious(self, reach: float) -> np.ndarray:
        """(n,) places of finite images of which `mended` has to see more; `reach` as there.

        No more than the share `crowding` of the pixels lies in any stretch as wide as a bin. Where that is less than
        half of them, the middle half is wider than a bin, and nothing lies `FAR` from it.
        """
        from .pixel_kernels import BINS

        assert FAR / 2 / QUARTILES_APART > BINS
        near = self.high - self.low <= reach / 2 if reach else self.crowding < 0.5
        return np.flatnonzero(self.finite & ~(near & (self.high > self.low)))


@dataclass(frozen=True)
class Mended:
    """Images without values far out, and what was wrong with each of the B."""

    images: np.ndarray
    """(B, D, D) float32; what was given, where nothing is wrong or an image is not finite."""
    seen: Seen

    @property
    def lost(self) -> np.ndarray:
        return self.seen.lost


def mended(images: np.ndarray, reach: float = 0.0) -> Mended:
    """Replace grey values that are far out by the middle of their image.

    Parameters
    ----------
    images : (B, D, D) float32. An image comes out the same whatever others are beside it.
    reach : how far from the middle a grey value may lie; 0 takes `FAR` times the scatter of the image itself.
    """
    flat, seen = np.ascontiguousarray(images, np.float32).reshape(len(images), -1), Seen.nothing(len(images))
    seen.look_at(slice(None), flat)
    suspicious = seen.suspicious(reach)
    if len(suspicious):
        suspicious = suspicious[_suspicious(flat[suspicious], reach)]
        flat = flat.copy()
    for number in suspicious:
        image = flat[number]
        middle, spread = _middle_half(np.sort(image))
        odd = np.abs(image - middle) > (reach or FAR * spread)
        seen.far_out[number] = odd.sum()
        seen.lost[number] = (not reach and spread == 0) or odd.mean() > MOST_MENDED or np.ptp(image[~odd]) == 0
        image[odd] = middle
        seen.low[number], seen.high[number] = image.min(), image.max()
    return Mended(flat.reshape(images.shape), seen)


def typical_reach(images: np.ndarray) -> float:
    """How far grey values of noise-free images may lie from the middle: many times what typical ones (B, D, D) have."""
    flat = images.reshape(len(images), -1)
    return FAR_FROM_TYPICAL * float(np.median(np.ptp(flat, axis=1)))


def _step(flat: np.ndarray) -> int:
    """Of how many pixels of images (B, P) one is taken for a sample."""
    return max(1, flat.shape[1] // SAMPLE) | 1  # odd, to meet all columns


def _suspicious(flat: np.ndarray, reach: float) -> np.ndarray:
    """(B,) bool. Whether the extreme values of an image may be far out, by a part of its pixels. Cheap, not exact."""
    low, high, step = flat.min(axis=1), flat.max(axis=1), _step(flat)
    middle, spread = _middle_half(np.sort(flat[:, ::step], axis=1))
    limit = reach / 2 if reach else FAR / 2 * spread
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
