"""The contrast transfer function in RELION's convention, positive at low frequency for white protein.

    CTF(k) = scale · exp(−B k²/4) · sin(π λ df(θ) k² − (π/2) Cs λ³ k⁴ + phase shift + atan(w / √(1 − w²)))
    df(θ) = ½ (dU + dV + (dU − dV) cos 2(θ − dA)),      λ = 12.2643247 / √(V (1 + 0.978466e-6 V)) Å
"""

from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True)
class CtfParams:
    """CTF parameters of N particles; every field is (N,) float64."""

    defocus_u_ang: np.ndarray
    defocus_v_ang: np.ndarray
    defocus_angle_deg: np.ndarray
    voltage_kv: np.ndarray
    spherical_aberration_mm: np.ndarray
    amplitude_contrast: np.ndarray
    phase_shift_deg: np.ndarray
    b_factor_ang2: np.ndarray
    scale: np.ndarray

    def __getitem__(self, index) -> "CtfParams":
        return CtfParams(*(np.atleast_1d(getattr(self, f.name)[index]) for f in fields(self)))

    def __len__(self) -> int:
        return len(self.defocus_u_ang)


def wavelength_ang(voltage_kv: np.ndarray) -> np.ndarray:
    """Relativistic electron wavelength in angstrom."""
    volts = np.asarray(voltage_kv, dtype=np.float64) * 1e3
    return 12.2643247 / np.sqrt(volts * (1.0 + volts * 0.978466e-6))


def evaluate_ctf(params: CtfParams, freqs_per_ang: np.ndarray) -> np.ndarray:
    """CTF of each particle at each frequency.

    Parameters
    ----------
    params : N particles.
    freqs_per_ang : (F, 2) or (N, F, 2). Spatial frequencies (x, y) in 1/angstrom.

    Returns
    -------
    (N, F) float32.
    """
    k2 = (freqs_per_ang**2).sum(-1)
    theta = np.arctan2(freqs_per_ang[..., 1], freqs_per_ang[..., 0])
    col = {f.name: getattr(params, f.name)[:, None] for f in fields(params)}
    lam = wavelength_ang(col["voltage_kv"])
    mean = 0.5 * (col["defocus_u_ang"] + col["defocus_v_ang"])
    half_difference = 0.5 * (col["defocus_u_ang"] - col["defocus_v_ang"])
    defocus = mean + half_difference * np.cos(2 * (theta - np.deg2rad(col["defocus_angle_deg"])))
    w = col["amplitude_contrast"]
    gamma = (
        np.pi * lam * defocus * k2
        - 0.5 * np.pi * (col["spherical_aberration_mm"] * 1e7) * lam**3 * k2**2
        + np.deg2rad(col["phase_shift_deg"])
        + np.arctan2(w, np.sqrt(1 - w**2))
    )
    return (col["scale"] * np.exp(-col["b_factor_ang2"] * k2 / 4) * np.sin(gamma)).astype(np.float32)
