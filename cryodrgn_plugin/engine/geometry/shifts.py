"""Images moved by phase ramps. A shift is where the feature goes, +x to the right; minus RELION's rlnOriginX/YAngst."""

import numpy as np


def shift_phases(shifts_ang: np.ndarray, freqs_per_ang: np.ndarray) -> np.ndarray:
    """Factors that move an image by `shifts_ang`.

    Parameters
    ----------
    shifts_ang : (..., 2). Displacement (x, y) in angstrom.
    freqs_per_ang : (F, 2). Spatial frequencies (x, y) in 1/angstrom.

    Returns
    -------
    (..., F) complex64. exp(−2πi k·s); multiply spectra by it, or by its conjugate to move back.
    """
    phase = -2 * np.pi * (np.asarray(shifts_ang, dtype=np.float64) @ np.asarray(freqs_per_ang, dtype=np.float64).T)
    return np.exp(1j * phase).astype(np.complex64)
