"""The CTFs of images as a few numbers each, for devices that make of them the values at all coefficients.

On the host a CTF costs a sine in double precision per coefficient, and 4 bytes of it have to be brought to the device;
these are 64 bytes an image (`slicing.image_formation`).
"""

from dataclasses import replace

import numpy as np

from ..imaging.ctf import phase_weights, wavelength_ang
from ..imaging.lattice import HalfPlane
from .batch import ImageBatch
from .cache import SpectraCache
from .dataset import ParticleDataset

N_NUMBERS = 8


class NumberedCtfs:
    """A dataset, as a loader reads it, whose batches have numbers (B, 8) float64 in place of the values of the CTF.

    With numbers n and k² = kx² + ky² of integer frequencies, the CTF is

        n₆ exp(−n₅ k²) sin 2π(n₀ k² + n₁ (kx² − ky²) + n₂ 2 kx ky + n₃ k⁴ + n₄),

    or its modulus where n₇ is 1. The limit of an optics group is not in there.
    """

    def __init__(self, dataset: ParticleDataset) -> None:
        self._dataset = dataset

    @staticmethod
    def tell(dataset: ParticleDataset) -> bool:
        """Whether the CTFs of a dataset are told by so few numbers: without what the dose has destroyed, symmetric
        aberrations, phases flipped at another defocus, and CTFs that are taken to be squared."""
        params, flipped = dataset.ctf_params, dataset.source.phase_flipped[dataset.rows]
        if params is None or params.even_zernike is not None or params.dose_per_ang2 is not None:
            return False
        return not (dataset.squares_ctf or (dataset.defocus_moved_ang is not None and flipped.any()))

    @property
    def n(self) -> int:
        return self._dataset.n

    @property
    def lattice(self) -> HalfPlane:
        return self._dataset.lattice

    @property
    def cache(self) -> SpectraCache:
        return self._dataset.cache

    @property
    def stored_order(self) -> np.ndarray:
        return self._dataset.stored_order

    def batch(self, index: np.ndarray, count: int | None = None) -> ImageBatch:
        """As `ParticleDataset.batch`, with numbers for the CTF."""
        observed = self._dataset.observed(index, count)
        return replace(observed, ctf=self.numbers(observed.index))

    def slowness(self, index: np.ndarray) -> np.ndarray:
        """(B,) radians by which the phase of each CTF moves per ångström of defocus, over k²."""
        params = self._dataset.ctf_params
        assert params is not None
        return np.pi * wavelength_ang(params.voltage_kv[index]) * self._per_ang2(index)

    def numbers(self, index: np.ndarray) -> np.ndarray:
        """(B, 8) float64 of particles `index` (B,)."""
        dataset, rows = self._dataset, self._dataset.rows[index]
        given, per_ang2 = dataset.ctf_params, self._per_ang2(index)
        assert given is not None
        params = given[index]
        numbers = np.empty((len(rows), N_NUMBERS))
        numbers[:, :5] = phase_weights(params) / (2 * np.pi)
        numbers[:, :3] *= per_ang2[:, None]
        numbers[:, 3] *= per_ang2**2
        numbers[:, 5], numbers[:, 6] = params.b_factor_ang2 * per_ang2 / 4, params.scale
        numbers[:, 7] = dataset.source.phase_flipped[rows]
        return numbers

    def _per_ang2(self, index: np.ndarray) -> np.ndarray:
        """(B,) of the square of a whole frequency that of a spatial one in 1/ångström."""
        source = self._dataset.source
        ratio = source.frequency_ratio[self._dataset.rows[index]]
        return (ratio / (source.geometry.box * source.geometry.pixel_size_ang)) ** 2
