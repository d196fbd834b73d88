"""What numbers of a CTF can be: others are in another unit, or are none, and would end in maps that are not finite."""

from pathlib import Path

import numpy as np

from ..imaging.ctf import CtfParams
from .reading import require_rows

LARGEST_DEFOCUS_ANG = 1e7
LARGEST_CS_MM = 100.0
LARGEST_PHASE_DEG = 1e4
LARGEST_B_ANG2 = 1e5
LARGEST_SCALE = 1e6


def require_possible(path: Path, ctf: CtfParams) -> None:
    """Raise DataError, which names column and row of `path`, for what no microscope has."""
    voltage, contrast, scale = ctf.voltage_kv, ctf.amplitude_contrast, ctf.scale
    require_rows(path, "rlnVoltage", voltage, (voltage > 0) & (voltage < 1e5), "a voltage in kV")
    require_rows(path, "rlnAmplitudeContrast", contrast, (contrast >= 0) & (contrast <= 1), "a share from 0 to 1")
    require_rows(path, "rlnCtfScalefactor", scale, scale.any() | (scale != 0), "other than 0 in some of them")
    for name, values, most, what in (
        ("rlnSphericalAberration", ctf.spherical_aberration_mm, LARGEST_CS_MM, "in mm"),
        ("rlnDefocusU", ctf.defocus_u_ang, LARGEST_DEFOCUS_ANG, "in Å"),
        ("rlnDefocusV", ctf.defocus_v_ang, LARGEST_DEFOCUS_ANG, "in Å"),
        ("rlnPhaseShift", ctf.phase_shift_deg, LARGEST_PHASE_DEG, "in degrees"),
        ("rlnCtfScalefactor", scale, LARGEST_SCALE, f"at most {LARGEST_SCALE:,.0f}"),
    ):
        require_rows(path, name, values, np.abs(values) <= most, what)


def require_possible_b_factor(path: Path, values_ang2: np.ndarray) -> None:
    """The same of B-factors as the file has them, whatever their sign."""
    within = np.abs(values_ang2) <= LARGEST_B_ANG2
    require_rows(path, "rlnCtfBfactor", values_ang2, within, f"in Å² and at most {LARGEST_B_ANG2:,.0f}")
