"""What the microscope does to a projection: contrast, shift, CTF and aberrations, in the half-plane of `rfft2`."""

import numpy as np

from ..geometry.shifts import shift_phases
from ..imaging.ctf import evaluate_ctf
from .acquisition import Acquisition
from .config import SimulationConfig
from .transform import squared_radius


class ObservationModel:
    """Turns spectra of projections into spectra of noise-free images; one serves a set, as its frequencies are one."""

    def __init__(self, config: SimulationConfig) -> None:
        box = config.box
        radius2 = squared_radius(box, 2)
        self._inside = np.flatnonzero(radius2.ravel() < (box // 2) ** 2)
        ky, kx = np.meshgrid(np.fft.fftfreq(box, 1 / box), np.arange(box // 2 + 1), indexing="ij")
        freqs = np.stack([kx.ravel(), ky.ravel()], axis=1)[self._inside]
        self._freqs_per_ang = freqs / (box * config.pixel_size_ang)
        self._with_ctf = config.ctf

    def __call__(self, spectra: np.ndarray, acquisition: Acquisition, rows: np.ndarray) -> np.ndarray:
        """(B, box, box // 2 + 1) spectra of the particles `rows` after contrast, shift, CTF and aberrations.

        `spectra` are slices under `magnified` rotations.
        """
        factor = shift_phases(acquisition.shifts_ang[rows], self._freqs_per_ang)
        factor *= acquisition.contrast[rows, None].astype(np.float32)
        if self._with_ctf:
            for group in np.unique(acquisition.group[rows]):
                members = np.flatnonzero(acquisition.group[rows] == group)
                factor[members] *= self._transfer(acquisition, int(group), rows[members])
        observed = np.zeros_like(spectra)
        flat = spectra.reshape(len(spectra), -1)
        observed.reshape(len(spectra), -1)[:, self._inside] = flat[:, self._inside] * factor
        return observed

    def _transfer(self, acquisition: Acquisition, group: int, rows: np.ndarray) -> np.ndarray:
        """(B, F) CTF times the phases of beam tilt and antisymmetric terms of the particles `rows` of one group."""
        aberrations, optics = acquisition.aberrations[group], acquisition.optics[group]
        freqs = self._freqs_per_ang @ aberrations.matrix.T
        ctf = evaluate_ctf(acquisition.ctf[rows], freqs)
        if not aberrations.turns_phases:
            return ctf
        phases = aberrations.phase_factor(freqs, optics.voltage_kv, optics.spherical_aberration_mm)
        return ctf * phases.astype(np.complex64)


def magnified(acquisition: Acquisition, rows: np.ndarray) -> np.ndarray:
    """(B, 3, 3). Rotations of the particles `rows`, turned into maps under which an image's k meets V(Aᵀ M k)."""
    rotations = acquisition.rotations[rows]
    if not any(aberrations.distorts for aberrations in acquisition.aberrations):
        return rotations
    matrices = np.stack([aberrations.matrix for aberrations in acquisition.aberrations])[acquisition.group[rows]]
    return np.concatenate([np.swapaxes(matrices, 1, 2) @ rotations[:, :2], rotations[:, 2:]], axis=1)
