"""Spectra of images at frequencies that are no integers: by interpolation of a padded transform, and by the sum itself.

X(k) = Σ_r x(r) exp(−2πi k·r / D), r from pixel D//2. A padded transform that a kernel interpolates is that of the
image times the kernel's own transform, by which images are divided before (Greengard & Lee, SIAM Review 2004; the
kernel is Kaiser and Bessel's: Beatty et al., IEEE Trans. Med. Imaging 2005).
"""

import numpy as np
import scipy.fft
from scipy.sparse import csr_matrix
from scipy.special import i0

PADDING, WIDTH = 2, 6
"""Of the transform, and how many of its points each way a frequency is interpolated from: a relative error of 1e-5."""
_SHAPE = np.pi * np.sqrt((WIDTH / PADDING) ** 2 * (PADDING - 0.5) ** 2 - 0.8)


class Gridding:
    """Spectra of D × D images at F frequencies."""

    def __init__(self, box: int, frequencies: np.ndarray) -> None:
        """`frequencies` (F, 2): (kx, ky) in 1/(D pixels), of length D/2 at most."""
        self.box = box
        axis = (np.arange(box) - box // 2) / (PADDING * box)
        falloff = _kernel_transform(axis)
        self._divided = (1 / (falloff[:, None] * falloff[None])).astype(np.float32)
        self._weights = _interpolation(PADDING * box, PADDING * np.asarray(frequencies, np.float64))

    def spectra(self, images: np.ndarray) -> np.ndarray:
        """(B, F) complex64 of (B, D, D) real images."""
        size = PADDING * self.box
        margin = size // 2 - self.box // 2
        padded = np.zeros((len(images), size, size), np.float32)
        padded[:, margin : margin + self.box, margin : margin + self.box] = images * self._divided
        full = scipy.fft.fft2(padded).reshape(len(images), -1)
        return np.ascontiguousarray((self._weights @ full.T).T)


def summed_spectra(images: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """(B, F) complex128 by the sum over pixels: slow, exact, and what `Gridding` is tested against."""
    box = images.shape[-1]
    axis = np.arange(box) - box // 2
    kx, ky = np.asarray(frequencies, np.float64).T / box
    along_x = np.exp(-2j * np.pi * kx[:, None] * axis)
    along_y = np.exp(-2j * np.pi * ky[:, None] * axis)
    return np.einsum("byx,fy,fx->bf", images, along_y, along_x, optimize=True)


def _interpolation(size: int, places: np.ndarray) -> csr_matrix:
    """(F, size²) float32. From a transform with its origin at the first point to `places` (F, 2) among its points."""
    first = np.ceil(places - WIDTH / 2).astype(np.int64)
    steps = np.arange(WIDTH)
    points = first[:, None] + steps[:, None]
    # Images lie about the middle of the padded grid, not about its first point: (−1)^k turns the one into the other.
    weights = _kernel(points - places[:, None]) * (1 - 2 * (points % 2))
    columns = (points[:, :, None, 1] % size) * size + points[:, None, :, 0] % size
    values = weights[:, :, None, 1] * weights[:, None, :, 0]
    rows = np.repeat(np.arange(len(places)), WIDTH**2)
    shape = (len(places), size * size)
    return csr_matrix((values.ravel().astype(np.float32), (rows, columns.ravel())), shape=shape)


def _kernel(distance: np.ndarray) -> np.ndarray:
    inside = np.maximum(1 - (2 * distance / WIDTH) ** 2, 0)
    return i0(_SHAPE * np.sqrt(inside)) / WIDTH


def _kernel_transform(position: np.ndarray) -> np.ndarray:
    """∫ kernel(u) exp(2πi u · position) du, for positions inside the kernel's main lobe."""
    argument = np.sqrt(_SHAPE**2 - (np.pi * WIDTH * position) ** 2)
    return np.sinh(argument) / argument
