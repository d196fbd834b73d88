"""From one state of the molecule to the noise-free spectra of its views, and to its map.

A projector is a state ready to be seen from any side. `AtomProjector` sums over atoms exactly (see `transform`).
`MapProjector` takes central slices of a map's padded transform. Both give the same kind of spectrum: unnormalised,
origin at the centre of the box, laid out as `rfft2`, and zero outside |k| < box/2, so that the map they report has
exactly these slices.
"""

from functools import cached_property
from typing import Protocol

import numpy as np
from scipy import fft

from ..atoms.atomic_model import AtomicModel
from ..errors import ConfigError
from .transform import centre_phase, plane_transform, resolution_envelope, space_transform, squared_radius, waves

# Floats of waves held at once. More leave the cache (64 px, 1,656 atoms: 0.5 ms a view, 0.9 with 4 million).
_WAVE_BUDGET = 200_000


class Projector(Protocol):
    """One state of the molecule."""

    def spectra(self, rotations: np.ndarray) -> np.ndarray:
        """Views under (B, 3, 3) rotations (volume to view): (B, box, box // 2 + 1) complex64.

        Their upper two rows may be no rotation: a view is the slice V(Aᵀ (kx, ky, 0)) for any A.
        """

    def volume(self) -> np.ndarray:
        """(box, box, box) float32 `vol[z, y, x]` whose central slices are `spectra`."""


class AtomProjector:
    """Gaussian atoms at a resolution, seen in a box; `centre_ang` of the model is put at the centre of the box."""

    def __init__(
        self, model: AtomicModel, box: int, pixel_size_ang: float, resolution_ang: float, centre_ang: np.ndarray
    ) -> None:
        self.box = box
        self.positions = (model.coords_ang - centre_ang) / (box * pixel_size_ang)
        self.weights = model.weights.astype(np.float32)
        self._per_ang2 = (box * pixel_size_ang) ** -2
        self._resolution_ang = resolution_ang

    def spectra(self, rotations: np.ndarray) -> np.ndarray:
        step = max(1, _WAVE_BUDGET // (self.box * len(self.positions)))
        parts = [self._planes(rotations[i : i + step]) for i in range(0, len(rotations), step)]
        return np.concatenate(parts) * self._envelope_of_views(rotations)

    def volume(self) -> np.ndarray:
        return volume_from_spectrum(
            space_transform(self.positions, self.weights, self.box) * self._envelope(squared_radius(self.box, 3))
        )

    def _planes(self, rotations: np.ndarray) -> np.ndarray:
        projected = rotations[:, :2] @ self.positions.T
        half = self.box // 2
        return plane_transform(waves(projected[:, 1], half), waves(projected[:, 0], half), self.weights[None], self.box)

    def _envelope_of_views(self, rotations: np.ndarray) -> np.ndarray:
        """Where slices are read in the transform of the map, which is not at |k| of the image if it is magnified."""
        rows = rotations[:, :2]
        metric = rows @ np.swapaxes(rows, 1, 2)
        if np.allclose(metric, np.eye(2), atol=1e-6):
            return self._envelope(squared_radius(self.box, 2))
        kx, ky = np.arange(self.box // 2 + 1), np.fft.fftfreq(self.box, 1 / self.box)[:, None]
        terms = np.stack(np.broadcast_arrays(kx**2, 2 * kx * ky, ky**2))
        return self._envelope(np.einsum("bt,tyx->byx", metric[:, (0, 0, 1), (0, 1, 1)], terms))

    def _envelope(self, radius2: np.ndarray) -> np.ndarray:
        """At squared frequencies in units of (1/box)²."""
        inside = radius2 < (self.box // 2) ** 2
        return inside * resolution_envelope(radius2 * self._per_ang2, self._resolution_ang)


class MapProjector:
    """A map of the box's own size, seen through central slices of its padded transform."""

    def __init__(self, volume: np.ndarray) -> None:
        box = volume.shape[0]
        if volume.shape != (box, box, box) or box % 2:
            raise ConfigError(f"A state's map has the shape {volume.shape}; it must be a cube with an even edge.")
        inside = squared_radius(box, 3) < (box // 2) ** 2
        self.box = box
        self._volume = fft.irfftn(fft.rfftn(volume) * inside, s=volume.shape).astype(np.float32)

    def volume(self) -> np.ndarray:
        return self._volume

    def spectra(self, rotations: np.ndarray) -> np.ndarray:
        from ..slicing.fine import central_slices

        return central_slices(self._padded, rotations, self.box)

    @cached_property
    def _padded(self) -> np.ndarray:
        from ..slicing.fine import padded_transform

        return padded_transform(self._volume)


def volume_from_spectrum(spectrum: np.ndarray) -> np.ndarray:
    """(box, box, box) float32 map of a spectrum laid out as `rfftn`, origin at the centre of the box."""
    box = len(spectrum)
    return fft.irfftn(spectrum * centre_phase(box, 3), s=(box,) * 3).astype(np.float32)


def images_from_spectra(spectra: np.ndarray) -> np.ndarray:
    """(B, box, box) float32 images of (B, box, box // 2 + 1) spectra, origin at the centre of the box."""
    box = spectra.shape[1]
    return fft.irfft2(spectra * centre_phase(box, 2), s=(box, box)).astype(np.float32)


def spectra_from_images(images: np.ndarray) -> np.ndarray:
    """The inverse of `images_from_spectra`."""
    return fft.rfft2(images) * centre_phase(images.shape[1], 2)
