"""The half-sphere: how volumes are stored for slicing.

A volume of box D is padded to P ≈ padding · D, Fourier transformed, and kept only where kx ≥ 0 and |k| ≤ radius, plus a
rim that trilinear interpolation reaches into. The plane kx = 0 is kept whole and must stay Hermitian (`symmetrize`).
Rows along kx are contiguous, so one small table of row starts replaces an index per voxel. Coefficients are (M, 2, C)
float32: voxel, real and imaginary part, channel; channels are contiguous because one gather serves all bases
(sparse_fourier_backpropagation 4.3).

Trilinear interpolation on the grid multiplies real space by sinc²(r/P); `from_volumes` divides it out beforehand, so
that slices are those of the volume given. Frequencies are in units of 1/(D · pixel) outside and in grid steps inside.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.fft

from .. import threads
from ..errors import ConfigError

RIM = 2.0
"""Grid steps kept beyond the radius; trilinear neighbours of a point inside it are at most √3 away."""

KEPT = 40_000_000
"""Up to so many voxels, the place of each in a volume's spectrum is kept (9 bytes each): maps are then made twice as
fast."""


@dataclass(frozen=True)
class HalfSphere:
    """Storage of volumes of `box`, oversampled by about `padding`, inside `radius` (in 1/(box · pixel))."""

    box: int
    padding: float
    radius: float

    def __post_init__(self) -> None:
        if self.box % 2:
            raise ConfigError(f"The volume box is {self.box}; it must be even.")
        if self.radius > self.box // 2:
            raise ConfigError(
                f"The frequency limit {self.radius} is beyond the Nyquist limit {self.box // 2} of box {self.box}."
            )

    @cached_property
    def grid(self) -> int:
        """P, the padded box: even, with small prime factors."""
        target = int(np.ceil(self.box * self.padding))
        while target % 2 or scipy.fft.next_fast_len(target, real=True) != target:
            target += 1
        return target

    @property
    def step(self) -> float:
        """Grid steps per 1/(box · pixel), the padding really used."""
        return self.grid / self.box

    @cached_property
    def half_width(self) -> int:
        """H: ky and kz run from −H to H."""
        return int(np.ceil(self.radius * self.step + RIM)) + 1

    @cached_property
    def _extent(self) -> np.ndarray:
        """(2H+1, 2H+1) int: how many voxels each (kz, ky) row holds, from kx = 0 on."""
        k = np.arange(-self.half_width, self.half_width + 1)
        left = (self.radius * self.step + RIM) ** 2 - (k[:, None] ** 2 + k[None, :] ** 2)
        return np.where(left >= 0, np.floor(np.sqrt(np.maximum(left, 0))).astype(np.int64) + 1, 0)

    @cached_property
    def row_start(self) -> np.ndarray:
        """(2H+1, 2H+1) int32, indexed [kz + H, ky + H]: storage index of each row's voxel kx = 0, −1 where empty."""
        count = self._extent
        start = np.concatenate([[0], np.cumsum(count.ravel())[:-1]]).reshape(count.shape)
        return np.where(count > 0, start, -1).astype(np.int32)

    @cached_property
    def n_voxels(self) -> int:
        """M, the number of stored voxels."""
        return int(self._extent.sum())

    @cached_property
    def indices(self) -> np.ndarray:
        """(M, 3) int32. Grid frequencies (kx, ky, kz) of the stored voxels, in storage order."""
        count = self._extent
        kz, ky = np.nonzero(count)
        n = count[kz, ky]
        first = np.repeat(np.cumsum(n) - n, n)
        kx = np.arange(self.n_voxels) - first
        return np.stack([kx, np.repeat(ky, n) - self.half_width, np.repeat(kz, n) - self.half_width], 1).astype(
            np.int32
        )

    @cached_property
    def shells(self) -> np.ndarray:
        """(M,) int32. round(|k|) in units of 1/(box · pixel)."""
        return np.rint(np.sqrt((self.indices.astype(np.float64) ** 2).sum(1)) / self.step).astype(np.int32)

    @cached_property
    def n_shells(self) -> int:
        return int(self.shells.max()) + 1

    @cached_property
    def multiplicity(self) -> np.ndarray:
        """(M,) float32. 2 for kx > 0; 1 on the plane kx = 0, which is stored whole."""
        return np.where(self.indices[:, 0] > 0, 2.0, 1.0).astype(np.float32)

    @cached_property
    def plane(self) -> tuple[np.ndarray, np.ndarray]:
        """Storage indices of the plane kx = 0 and of the partner (0, −ky, −kz) of each."""
        own = np.flatnonzero(self.indices[:, 0] == 0)
        k = self.indices[own]
        return own, self.row_start[self.half_width - k[:, 2], self.half_width - k[:, 1]].astype(np.int64)

    @property
    def origin(self) -> int:
        """Storage index of the voxel k = 0, the only one that is its own partner."""
        return int(self.row_start[self.half_width, self.half_width])

    def symmetrize(self, coefs: np.ndarray, total: bool = False) -> np.ndarray:
        """Make the plane kx = 0 Hermitian in place: the mean of each pair, or its sum (for what was accumulated).

        Parameters
        ----------
        coefs : (M, 2, C). Real and imaginary parts.
        """
        own, partner = self.plane
        conjugate = np.array([1, -1], dtype=coefs.dtype)[:, None]
        both = coefs[own] + coefs[partner] * conjugate
        coefs[own] = both if total else both / 2
        return coefs

    def symmetrize_real(self, values: np.ndarray) -> np.ndarray:
        """Add the partner's value to each voxel of the plane kx = 0, in place; for accumulated weights (M, T)."""
        own, partner = self.plane
        values[own] = values[own] + values[partner]
        return values

    def gridding(self) -> np.ndarray:
        """(D, D, D) float32. sinc²(x/P) sinc²(y/P) sinc²(z/P): what trilinear interpolation does to real space."""
        x = (np.arange(self.box) - self.box // 2) / self.grid
        line = np.sinc(x) ** 2
        return (line[:, None, None] * line[None, :, None] * line[None, None, :]).astype(np.float32)

    def from_volumes(self, volumes: np.ndarray, deconvolve: bool = True) -> np.ndarray:
        """Coefficients whose slices are projections of `volumes`.

        Parameters
        ----------
        volumes : (C, D, D, D) real. `vol[z, y, x]`, origin at D//2.
        deconvolve : divide by the interpolation's sinc² first.

        Returns
        -------
        (M, 2, C) float32.
        """
        out = np.empty((self.n_voxels, 2, len(volumes)), dtype=np.float32)
        correction = self.gridding() if deconvolve else 1.0
        low = self.grid // 2 - self.box // 2
        inside = slice(low, low + self.box)
        x, y, z = self.indices.T
        sign = 1.0 - 2.0 * ((x + y + z) % 2)
        reach = self._within_grid(x, y, z)
        for channel, volume in enumerate(volumes):
            padded = np.zeros((self.grid,) * 3, dtype=np.float32)
            padded[inside, inside, inside] = volume / correction
            spectrum = scipy.fft.rfftn(padded, workers=threads.available(), overwrite_x=True)
            values = spectrum[z % self.grid, y % self.grid, np.minimum(x, self.grid // 2)] * sign * reach
            out[:, 0, channel] = values.real
            out[:, 1, channel] = values.imag
        return out

    def to_volumes(self, coefs: np.ndarray, convolve: bool = True, radius: float | None = None) -> np.ndarray:
        """Volumes whose projections the slices of `coefs` are: the inverse of `from_volumes` on band-limited volumes.

        Parameters
        ----------
        coefs : (M, 2, C).
        convolve : multiply by the interpolation's sinc² (True), or divide by it: what RELION does to gridded averages
            (False).
        radius : keep only |k| up to this; the default is the sphere's own.

        Returns
        -------
        (C, D, D, D) float32.
        """
        small = self.n_voxels <= KEPT and radius is None
        keep, places, sign = self._usual_places if small else self._places(self.radius if radius is None else radius)
        low = self.grid // 2 - self.box // 2
        inside = slice(low, low + self.box)
        correction = self.gridding() if convolve else 1.0 / self.gridding()
        out = np.empty((coefs.shape[2], self.box, self.box, self.box), dtype=np.float32)
        for channel in range(coefs.shape[2]):
            spectrum = np.zeros((self.grid, self.grid, self.grid // 2 + 1), dtype=np.complex64)
            kept = np.ascontiguousarray(coefs[keep, :, channel], np.float32).view(np.complex64)[:, 0]
            spectrum.ravel()[places] = kept * sign
            volume = scipy.fft.irfftn(spectrum, s=(self.grid,) * 3, workers=threads.available(), overwrite_x=True)
            out[channel] = volume[inside, inside, inside] * correction
        return out

    @cached_property
    def _usual_places(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self._places(self.radius)

    def _places(self, radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Numbers (n,) of the voxels with |k| up to `radius`, the place of each in the spectrum of a volume, and the
        sign that brings the origin to its middle."""
        x, y, z = self.indices.T
        keep = (self.indices.astype(np.float64) ** 2).sum(1) <= (radius * self.step) ** 2 + 1e-6
        keep &= self._within_grid(x, y, z)
        x, y, z = x[keep], y[keep], z[keep]
        sign = (1 - 2 * ((x + y + z) % 2)).astype(np.int8)
        places = np.ravel_multi_index((z % self.grid, y % self.grid, x), (self.grid, self.grid, self.grid // 2 + 1))
        return np.flatnonzero(keep).astype(np.int32), places.astype(np.int32), sign

    def _within_grid(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """False for rim voxels beyond the padded grid's own Nyquist limit (without padding the rim leaves the grid)."""
        limit = self.grid // 2
        return (x <= limit) & (np.abs(y) <= limit) & (np.abs(z) <= limit)
