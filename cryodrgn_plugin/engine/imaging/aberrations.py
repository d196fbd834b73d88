"""Aberrations of an optics group beyond defocus and Cs: beam tilt, Zernike terms and magnification, as RELION has them.

A lens that magnifies unevenly shows at an image's frequency k what belongs to M k, M being rlnMagMat; antisymmetric
terms turn phases by χ, which is odd, and symmetric ones are part of the CTF (docs/conventions.md):

    X(k) = exp(i χ(M k)) · C(M k) · exp(−2πi k·s) · V(Aᵀ M k).

Images are freed of M and χ as they are read (`imaging.correction`), so that whatever looks at spectra knows of neither.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .ctf import wavelength_ang
from .zernike import odd_terms, zernike_values

_ANG_PER_MM_MRAD = 1e4
"""10⁷ Å per mm of Cs times 10⁻³ per mrad of tilt."""
UNDISTORTED = ((1.0, 0.0), (0.0, 1.0))
Matrix = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Aberrations:
    """What one optics group has of them; a group without any equals `Aberrations()`."""

    beam_tilt_mrad: tuple[float, float] = (0.0, 0.0)
    """rlnBeamTiltX, rlnBeamTiltY."""
    odd_zernike: tuple[float, ...] = ()
    """rlnOddZernike: radians per unit of each antisymmetric term (`imaging.zernike`), without the beam tilt."""
    even_zernike: tuple[float, ...] = ()
    """rlnEvenZernike: the same of symmetric terms, which the CTF takes (`imaging.ctf`)."""
    magnification: Matrix = UNDISTORTED
    """rlnMagMat00, 01 and 10, 11."""

    @property
    def distorts(self) -> bool:
        return self.magnification != UNDISTORTED

    @property
    def turns_phases(self) -> bool:
        return any(self.beam_tilt_mrad) or any(self.odd_zernike)

    @cached_property
    def matrix(self) -> np.ndarray:
        """(2, 2) float64. M: from a frequency of the image to that of the molecule."""
        return np.array(self.magnification)

    @cached_property
    def inverse(self) -> np.ndarray:
        """(2, 2) float64. M⁻¹."""
        return np.linalg.inv(self.matrix)

    @property
    def stretch(self) -> float:
        """The most that M⁻¹ lengthens a frequency by."""
        return float(np.linalg.norm(self.inverse, 2))

    def phase_factor(self, freqs_per_ang: np.ndarray, voltage_kv: float, spherical_aberration_mm: float) -> np.ndarray:
        """exp(i χ) at (F, 2) frequencies of the molecule, (F,) complex128.

        Beam tilt t turns phases by −2π Cs λ² |k|² (t·k), RELION's terms (±1, 3) and (±1, 1) together.
        """
        x, y = freqs_per_ang.T.astype(np.float64)
        slope = 2 * np.pi * _ANG_PER_MM_MRAD * spherical_aberration_mm * wavelength_ang(np.asarray(voltage_kv)) ** 2
        angle = -slope * (x**2 + y**2) * (self.beam_tilt_mrad[0] * x + self.beam_tilt_mrad[1] * y)
        angle += np.array(self.odd_zernike) @ zernike_values(odd_terms(len(self.odd_zernike)), freqs_per_ang)
        return np.exp(1j * angle)


def moved_in_groups(
    shifts_ang: np.ndarray, aberrations: Sequence[Aberrations], group: np.ndarray, back: bool = False
) -> np.ndarray:
    """(N, 2). Where features are in undistorted images, M⁻ᵀ s, that are at (N, 2) shifts in the stored ones.

    `group` (N,) counts in `aberrations`. `back` from undistorted images to stored ones: Mᵀ s.
    """
    if not any(each.distorts for each in aberrations):
        return shifts_ang
    matrices = np.stack([each.matrix if back else each.inverse for each in aberrations])[group]
    return np.einsum("nj,nji->ni", shifts_ang, matrices)


def even_zernike(aberrations: Sequence[Aberrations], group: np.ndarray) -> np.ndarray | None:
    """(N, E) float64. The symmetric terms of each particle's group, as `CtfParams` has them; None where all are 0."""
    if not any(any(each.even_zernike) for each in aberrations):
        return None
    terms = max(len(each.even_zernike) for each in aberrations)
    return np.stack([np.pad(each.even_zernike, (0, terms - len(each.even_zernike))) for each in aberrations])[group]
