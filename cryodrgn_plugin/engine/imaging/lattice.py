"""The half-plane: which Fourier coefficients of a real D × D image are stored, in which order, with what weight.

Images are real, so I(−k) = conj I(k) and one of each pair is enough. `HalfPlane` keeps kx > 0, and on the line kx = 0
only ky ≥ 0. Coefficients are sorted by |k|, so that a limit on the frequency is a prefix:
`spectra[..., :lattice.count(radius)]`. Spectra are unnormalised sums with the origin of the image at pixel D//2 on each
axis (docs/conventions.md).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import ConfigError


@dataclass(frozen=True)
class HalfPlane:
    """Half of the Fourier plane of a `box` × `box` image, inside `radius` (in 1/(box · pixel); at most box/2)."""

    box: int
    radius: float

    def __post_init__(self) -> None:
        if self.box < 4 or self.box % 2:
            raise ConfigError(
                f"The image box is {self.box}; it must be even and at least 4. Downsample to an even box."
            )
        if not 0 < self.radius <= self.box // 2:
            raise ConfigError(
                f"The frequency limit is {self.radius}; with a box of {self.box} it must be in (0, {self.box // 2}]."
            )

    @cached_property
    def indices(self) -> np.ndarray:
        """(F, 2) int32. Integer frequencies (kx, ky), sorted by |k|."""
        half = self.box // 2
        kx, ky = np.meshgrid(np.arange(half + 1), np.arange(-half, half + 1), indexing="ij")
        k = np.stack([kx.ravel(), ky.ravel()], axis=1)
        k = k[(k**2).sum(1) <= self.radius**2 + 1e-9]
        k = k[(k[:, 0] > 0) | (k[:, 1] >= 0)]
        # A frequency of exactly half the box is its own partner: −D/2 and D/2 are one coefficient.
        order = np.lexsort((k[:, 1], k[:, 0], (k**2).sum(1)))
        return np.ascontiguousarray(k[order].astype(np.int32))

    @cached_property
    def multiplicity(self) -> np.ndarray:
        """(F,) float32. How many coefficients of the full plane each stands for: 2, or 1 for its own partner."""
        k = self.indices
        half = self.box // 2
        own = ((k[:, 0] == 0) | (k[:, 0] == half)) & ((k[:, 1] == 0) | (np.abs(k[:, 1]) == half))
        return np.where(own, 1.0, 2.0).astype(np.float32)

    @cached_property
    def shells(self) -> np.ndarray:
        """(F,) int32. round(|k|) of each coefficient."""
        return np.rint(np.sqrt((self.indices.astype(np.float64) ** 2).sum(1))).astype(np.int32)

    @property
    def size(self) -> int:
        """F, the number of coefficients."""
        return len(self.indices)

    @property
    def n_shells(self) -> int:
        """One more than the highest shell index."""
        return int(self.shells[-1]) + 1

    def count(self, radius: float) -> int:
        """How many leading coefficients lie inside `radius`."""
        return int(np.searchsorted((self.indices.astype(np.int64) ** 2).sum(1), radius**2 + 1e-9, side="right"))

    def shell_mean(self, values: np.ndarray) -> np.ndarray:
        """Mean of (..., F) `values` over each shell of the full plane, (..., n_shells)."""
        weights = self.multiplicity
        norm = np.bincount(self.shells, weights, self.n_shells)
        flat = values.reshape(-1, self.size)
        sums = np.stack([np.bincount(self.shells, row * weights, self.n_shells) for row in flat])
        return (sums / np.maximum(norm, 1)).reshape(*values.shape[:-1], self.n_shells)

    def spectra(self, images: np.ndarray) -> np.ndarray:
        """Fourier coefficients of real images whose origin is pixel D//2.

        Parameters
        ----------
        images : (..., D, D) real, `img[y, x]`. D may exceed `box`: the coefficients are then Fourier-cropped, scaled by
            (box/D)² so that grey values keep their size.

        Returns
        -------
        (..., F) complex64.
        """
        d = images.shape[-1]
        full = np.fft.rfft2(images)
        kx, ky = self.indices[:, 0], self.indices[:, 1]
        # Cropping by half a period folds the Nyquist line; taking +D/2 alone is the convention of the real transform.
        values = full[..., ky % d, kx] * _centre_phase(kx, ky, d)
        if d != self.box:
            values = values * (self.box / d) ** 2
        return values.astype(np.complex64)

    def images(self, spectra: np.ndarray) -> np.ndarray:
        """Real images of (..., F) spectra, (..., box, box) float32; the inverse of `spectra` on band-limited images."""
        d = self.box
        kx, ky = self.indices[:, 0], self.indices[:, 1]
        full = np.zeros((*spectra.shape[:-1], d, d // 2 + 1), dtype=np.complex128)
        values = spectra * _centre_phase(kx, ky, d)
        full[..., ky % d, kx] = values
        # On the lines kx = 0 and d/2 both of a pair are written; one that is its own partner is real.
        edge = (kx == 0) | (kx == d // 2)
        full[..., (-ky[edge]) % d, kx[edge]] = np.conj(values[..., edge])
        own = edge & (self.multiplicity == 1)
        full[..., ky[own] % d, kx[own]] = values[..., own].real
        return np.fft.irfft2(full, s=(d, d)).astype(np.float32)


def _centre_phase(kx: np.ndarray, ky: np.ndarray, d: int) -> np.ndarray:
    """exp(2πi k·c/d) with c = d//2: moves the origin from first pixel to centre (its own inverse for even d)."""
    if d % 2 == 0:
        return 1.0 - 2.0 * ((kx + ky) % 2)
    return np.exp(2j * np.pi * (kx + ky) * (d // 2) / d)
