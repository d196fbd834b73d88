"""Takes antisymmetric phases and distortion off the images of an optics group as they are read, and puts them on again.

Where magnification is uneven (M ≠ 1), the spectrum at a lattice point q is that of the stored image at M⁻¹ q, summed
over its pixels without any interpolation between them. Equations are in `imaging.aberrations`.
"""

import numpy as np

from .aberrations import Aberrations
from .gridding import Gridding
from .lattice import HalfPlane


class Correction:
    """Of one group, on one lattice."""

    def __init__(self, aberrations: Aberrations, lattice: HalfPlane, phase_factor: np.ndarray | None) -> None:
        """`phase_factor` (F,) is exp(i χ) at the frequencies of the lattice; None where phases are left alone."""
        self.lattice, self.aberrations = lattice, aberrations
        self._phase_factor = None if phase_factor is None else phase_factor.astype(np.complex64)
        self._to_molecule = _gridding(lattice, aberrations.inverse) if aberrations.distorts else None

    @property
    def resamples(self) -> bool:
        return self._to_molecule is not None

    def resampled(self, images: np.ndarray) -> np.ndarray:
        """(B, F) complex64. Spectra at M⁻¹ q of (B, D, D) images that were windowed."""
        assert self._to_molecule is not None
        return self._to_molecule.spectra(images)

    def turned_back(self, spectra: np.ndarray) -> np.ndarray:
        """(B, F) complex64 without the phases χ."""
        return spectra if self._phase_factor is None else spectra * self._phase_factor.conj()

    def put_on(self, spectra: np.ndarray) -> np.ndarray:
        """(B, F) complex64. What a stored image would show of undistorted spectra: the inverse of reading it."""
        turned = spectra if self._phase_factor is None else spectra * self._phase_factor
        if not self.resamples:
            return turned
        reached = np.linalg.norm(self.lattice.indices @ self.aberrations.matrix.T, axis=1) <= self.lattice.radius
        to_image = _gridding(self.lattice, self.aberrations.matrix)
        return to_image.spectra(self.lattice.images(turned)) * reached.astype(np.float32)


def _gridding(lattice: HalfPlane, matrix: np.ndarray) -> Gridding:
    """At `matrix` (2, 2) times each point of the lattice."""
    return Gridding(lattice.box, lattice.indices @ matrix.T)
