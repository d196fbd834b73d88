"""What the microscope does to a projection: contrast, shift and CTF, in the half-plane of `rfft2`."""

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
        """(B, box, box // 2 + 1) spectra of the particles `rows` after contrast, shift and CTF."""
        factor = shift_phases(acquisition.shifts_ang[rows], self._freqs_per_ang)
        factor *= acquisition.contrast[rows, None].astype(np.float32)
        if self._with_ctf:
            factor *= evaluate_ctf(acquisition.ctf[rows], self._freqs_per_ang)
        observed = np.zeros_like(spectra)
        flat = spectra.reshape(len(spectra), -1)
        observed.reshape(len(spectra), -1)[:, self._inside] = flat[:, self._inside] * factor
        return observed
