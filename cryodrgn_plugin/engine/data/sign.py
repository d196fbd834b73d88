"""Whether protein is white or black in a particle stack, measured and not assumed."""

from dataclasses import dataclass

import numpy as np

from ..imaging.lattice import HalfPlane

SAMPLE = 1000
"""Images on which the sign is measured."""
SIGNIFICANT = 4.0
"""Standard errors above which the measurement is believed."""
_WIDTH_SHELLS = 2.0


@dataclass(frozen=True)
class Contrast:
    """How much brighter the centre of the mean particle is than its surround; positive for white."""

    z: float
    """In standard errors."""

    @property
    def is_known(self) -> bool:
        return abs(self.z) >= SIGNIFICANT

    @property
    def sign(self) -> int:
        return -1 if self.z < 0 else 1


def measure_contrast(spectra: np.ndarray, ctf: np.ndarray, lattice: HalfPlane) -> Contrast:
    """Grey value at the centre of the CTF-corrected, low-passed mean of these particles, against its surround.

    Each image is multiplied by its CTF, the mean divided by the mean CTF² (a Wiener filter), so that frequencies which
    the microscope passes weakly, and those that tell inside from outside, count as in the particle itself; the constant
    term, which the microscope does not pass, is left out. The sign of the low-passed mean is that of its correlation
    with the image, and the scatter over the images gives the standard error.

    Parameters
    ----------
    spectra : (N, F) complex. Centred particles.
    ctf : (N, F). CTF, positive at low frequency for white protein.
    """
    keep = slice(1, lattice.count(4 * _WIDTH_SHELLS))
    k2 = (lattice.indices[keep].astype(np.float64) ** 2).sum(1)
    low_pass = np.exp(-0.5 * k2 / _WIDTH_SHELLS**2) * lattice.multiplicity[keep]
    power = (ctf[:, keep] ** 2).mean(0)
    filtered = (spectra[:, keep].real * ctf[:, keep]) @ (low_pass / (power + 0.01 * max(power.max(), 1e-30)))
    error = filtered.std() / np.sqrt(max(len(filtered) - 1, 1))
    return Contrast(float(filtered.mean() / max(error, 1e-30)))
