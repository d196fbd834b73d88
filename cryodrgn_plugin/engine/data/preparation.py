"""From stored images to spectra: mend, crop, subtract the background, window, scale, transform, a few at a time."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.fft

from ..imaging.correction import Correction
from ..imaging.lattice import HalfPlane
from ..imaging.outliers import Mended, mended
from ..imaging.preprocess import background, background_statistics, even_weights, fourier_crop, soft_window


@dataclass(frozen=True)
class Preparation:
    """How the images of one optics group become prepared images; see `ParticleDataset` for what that means."""

    box: int
    window: float
    has_noise: bool
    """Whether images are normalised by their background; noise-free images keep their grey values."""
    gain: float = 1.0
    """Sign of the data times the factor that brings the group to the common scale."""
    reach: float = 0.0
    """How far grey values may lie from the middle of their image; 0 asks the scatter of noisy images, and allows all of
    noise-free ones."""
    correction: Correction | None = None
    """What spectra are freed of; images are left as they are."""

    def mended(self, raw: np.ndarray) -> Mended:
        """(B, D', D') raw images without grey values that are far out, and what was wrong with them."""
        return mended(raw, self.grey_reach)

    @property
    def grey_reach(self) -> float:
        """`reach` as `imaging.outliers` wants it."""
        return self.reach or (0.0 if self.has_noise else np.inf)

    def unwindowed(self, raw: np.ndarray) -> np.ndarray:
        """(B, D, D) float32 prepared images of (B, D', D') raw ones, before the circular window."""
        cropped = fourier_crop(self.mended(raw).images, self.box)
        mean, scale = self._statistics(cropped)
        return (cropped - mean[:, None, None]) * scale[:, None, None]

    def spectra_of(self, images: np.ndarray, lattice: HalfPlane) -> np.ndarray:
        """(B, F) complex64 spectra of the prepared images of (B, D', D') mended ones, which may be overwritten.

        The mean is taken off in Fourier space, where that costs F and not D² operations.
        """
        from ..imaging.pixel_kernels import pick_coefficients

        cropped = fourier_crop(images, self.box)
        if self.correction is not None and self.correction.resamples:
            mean, scale = self._statistics(cropped)
            windowed = (cropped - mean[:, None, None]) * (scale[:, None, None] * soft_window(self.box, self.window))
            return self.correction.turned_back(self.correction.resampled(windowed))
        mean, scale, windowed = self._windowed(cropped)
        full = scipy.fft.rfft2(windowed).reshape(len(images), -1)
        picked = np.empty((len(images), lattice.size), np.complex64)
        pick_coefficients(full, *_picked_parts(lattice, self.window), mean, scale, picked)
        return picked if self.correction is None else self.correction.turned_back(picked)

    def _windowed(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`_statistics` of (B, D, D) images, and the images times the window, which take their place."""
        from ..imaging.pixel_kernels import windowed_statistics

        if not self.has_noise:
            windowed = images if self.window >= 1 else images * soft_window(self.box, self.window)
            return *self._statistics(images), windowed
        (mean, deviation), flat = np.empty((2, len(images)), np.float32), images.reshape(len(images), -1)
        windowed_statistics(flat, *_weights_and_window(self.box, self.window), mean, deviation)
        return mean, self._scale(deviation), images

    def scale(self, raw: np.ndarray) -> np.ndarray:
        """(B,) float32 what the grey values of (B, D', D') raw images are multiplied with, the sign included."""
        return self._statistics(fourier_crop(raw, self.box))[1]

    def _statistics(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What is taken off each image and what it is multiplied by, both (B,) float32."""
        if not self.has_noise:
            return np.zeros(len(images), np.float32), np.full(len(images), self.gain, np.float32)
        mean, deviation = background_statistics(images, background(self.box, self.window))
        return mean, self._scale(deviation)

    def _scale(self, deviation: np.ndarray) -> np.ndarray:
        """(B,) float32 by the standard deviation of the background."""
        # An image without any background (padded, or blank) has no scale of its own and keeps its grey values.
        return np.where(deviation > 0, self.gain / np.maximum(deviation, 1e-30), self.gain).astype(np.float32)


@lru_cache(maxsize=16)
def transform_places(lattice: HalfPlane) -> tuple[np.ndarray, np.ndarray]:
    """Flat positions (F,) of the lattice in a real transform of its box, and the signs (F,) that centre the origin."""
    kx, ky = lattice.indices[:, 0], lattice.indices[:, 1]
    positions = (ky % lattice.box).astype(np.int64) * (lattice.box // 2 + 1) + kx
    return positions, (1.0 - 2.0 * ((kx + ky) % 2)).astype(np.float32)


@lru_cache(maxsize=16)
def window_coefficients(lattice: HalfPlane, radius: float) -> np.ndarray:
    """(F,) complex64. Those of the soft window, in the places of a real transform and without the signs."""
    return scipy.fft.rfft2(soft_window(lattice.box, radius)).reshape(-1)[transform_places(lattice)[0]]


@lru_cache(maxsize=16)
def _weights_and_window(box: int, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """(D²,) float32 each: what averages over the background, and the soft window."""
    return even_weights(background(box, radius)), soft_window(box, radius).reshape(-1)


@lru_cache(maxsize=16)
def _picked_parts(lattice: HalfPlane, radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions (F,), signs and the window's coefficients (2F,), as `pick_coefficients` takes them."""
    positions, signs = transform_places(lattice)
    return positions, signs.repeat(2), window_coefficients(lattice, radius).view(np.float32)
