"""What is done to raw particle images before anything is learnt from them: crop, window, normalise, settle the sign.

Images are (B, D, D) float32, `img[y, x]`, origin at D//2. All functions leave their input unchanged.
"""

from functools import lru_cache

import numpy as np
import scipy.fft

FLAT_BACKGROUND = 0.25
"""Background with a standard deviation below this share of that inside the circle holds no noise to scale by."""


def radius_grid(box: int) -> np.ndarray:
    """(D, D) float32. Distance of each pixel from the centre, in units of half the box."""
    axis = (np.arange(box) - box // 2) / (box / 2)
    return np.hypot(axis[:, None], axis[None, :]).astype(np.float32)


@lru_cache(maxsize=16)
def soft_window(box: int, radius: float) -> np.ndarray:
    """A circular window: 1 inside `radius` (a fraction of half the box), falling as a cosine to 0 at the box edge.

    Returns (D, D) float32; all ones where `radius` is 1.
    """
    if radius >= 1:
        return np.ones((box, box), np.float32)
    edge = np.clip((radius_grid(box) - radius) / (1 - radius), 0, 1)
    return (0.5 + 0.5 * np.cos(np.pi * edge)).astype(np.float32)


@lru_cache(maxsize=16)
def background(box: int, radius: float) -> np.ndarray:
    """(D, D) bool. Pixels outside the particle circle of `radius` (a fraction of half the box)."""
    return radius_grid(box) > min(radius, 1.0)


def fourier_crop(images: np.ndarray, box: int) -> np.ndarray:
    """Images resampled to `box` pixels by cutting their spectra; grey values and the origin at box//2 are kept.

    Parameters
    ----------
    images : (B, D, D) with D ≥ box; D may be odd, `box` is even.

    Returns
    -------
    (B, box, box) float32, without the Nyquist line of the new box.
    """
    d = images.shape[-1]
    if d == box:
        return images.astype(np.float32, copy=False)
    full = scipy.fft.rfft2(images.astype(np.float32, copy=False))
    half = box // 2
    cropped = np.zeros((len(images), box, half + 1), np.complex64)
    cropped[:, :half, :half] = full[:, :half, :half]
    cropped[:, half + 1 :, :half] = full[:, d - half + 1 :, :half]
    if d % 2:
        # Both origins are at the middle pixel, which for odd d is half an old pixel off the middle of the box.
        ramp = np.exp(1j * np.pi * np.fft.fftfreq(box, 1 / box) * (2 * (d // 2) / d - 1))
        cropped *= (ramp[:, None] * ramp[None, : half + 1]).astype(np.complex64)
    return scipy.fft.irfft2(cropped * np.float32((box / d) ** 2), s=(box, box))


def background_statistics(images: np.ndarray, outside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each image over the pixels in `outside` (D, D); both (B,) float32.

    To the last bit the same whatever other images are in the batch, which a matrix product would not be.
    """
    from .pixel_kernels import weighted_statistics

    weights = even_weights(outside)
    mean, deviation = np.empty((2, len(images)), np.float32)
    flat = np.ascontiguousarray(images, np.float32).reshape(len(images), -1)
    weighted_statistics(flat, weights, mean, deviation)
    return mean, deviation


def even_weights(pixels: np.ndarray) -> np.ndarray:
    """(D²,) float32 of sum 1: what averages over `pixels` (D, D) bool."""
    return pixels.reshape(-1).astype(np.float32) / np.float32(pixels.sum())


def has_noise(images: np.ndarray, outside: np.ndarray) -> bool:
    """Whether the background of these images is noise that one can scale by; it is flat in noise-free projections."""
    outer = background_statistics(images, outside)[1]
    inner = background_statistics(images, ~outside)[1]
    return bool(np.median(outer) > FLAT_BACKGROUND * np.median(inner)) and bool(np.median(outer) > 0)
