"""The contrast transfer function in RELION's convention, positive at low frequency for white protein.

CTF(k) = scale · exp(−B k²/4) · sin(π λ df(θ) k² − (π/2) Cs λ³ k⁴ + phase shift + atan(w / √(1 − w²)))
df(θ) = ½ (dU + dV + (dU − dV) cos 2(θ − dA)),      λ = 12.2643247 / √(V (1 + 0.978466e-6 V)) Å

What the dose N e⁻/Å² before an image has destroyed multiplies it by exp(−½ N/(0.245 k^−1.665 + 2.81)) (Grant and
Grigorieff, eLife 2015), as in RELION's and WarpTools' tilt series; M has B-factors in its place.
Symmetric aberrations that a file lists (rlnEvenZernike, `imaging.zernike`) are taken off what the sine is of.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np

from .zernike import even_terms, zernike_values

DOSE_AMPLITUDE, DOSE_POWER, DOSE_FLOOR = 0.245, -1.665, 2.81
NEAREST_ZERO = 1e-6
"""Tangent of the phase below which a CTF counts as this far from its zero."""


@dataclass(frozen=True)
class CtfParams:
    """CTF parameters of N particles; every field but `even_zernike` is (N,) float64."""

    defocus_u_ang: np.ndarray
    defocus_v_ang: np.ndarray
    defocus_angle_deg: np.ndarray
    voltage_kv: np.ndarray
    spherical_aberration_mm: np.ndarray
    amplitude_contrast: np.ndarray
    phase_shift_deg: np.ndarray
    b_factor_ang2: np.ndarray
    scale: np.ndarray
    even_zernike: np.ndarray | None = None
    """(N, E) float64, radians per unit of each symmetric term; None for none."""
    dose_per_ang2: np.ndarray | None = None
    """e⁻/Å² before each image; None where none counts."""

    def __getitem__(self, index) -> "CtfParams":
        return self.each(lambda values: values[np.atleast_1d(index) if np.ndim(index) == 0 else index])

    def each(self, change: Callable[..., np.ndarray], *others: "CtfParams") -> "CtfParams":
        """`change` of every field, those of `others` beside it. Fields that are None stay so."""
        changed = {}
        for name in (field.name for field in fields(self)):
            values = [getattr(params, name) for params in (self, *others)]
            changed[name] = None if values[0] is None else change(*values)
        return CtfParams(**changed)

    def __len__(self) -> int:
        return len(self.defocus_u_ang)

    def defocused(self, by_ang: np.ndarray) -> "CtfParams":
        """With both values of the defocus moved by a length (N,) in angstrom."""
        return replace(self, defocus_u_ang=self.defocus_u_ang + by_ang, defocus_v_ang=self.defocus_v_ang + by_ang)


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
    ctf = np.sin(_phase(params, freqs_per_ang))
    if params.b_factor_ang2.any():
        k2 = np.square(freqs_per_ang, dtype=np.float64).sum(-1)
        ctf *= np.exp(params.b_factor_ang2[:, None] * (-k2 / 4))
    if params.dose_per_ang2 is not None:
        ctf *= dose_weights(params.dose_per_ang2, freqs_per_ang)
    return (ctf * params.scale[:, None]).astype(np.float32)


def dose_weights(dose_per_ang2: np.ndarray, freqs_per_ang: np.ndarray) -> np.ndarray:
    """(N, F) share of a signal that is left after doses (N,), in e⁻/Å², at frequencies (F, 2) or (N, F, 2) in 1/Å."""
    k2 = np.square(freqs_per_ang, dtype=np.float64).sum(-1)
    with np.errstate(divide="ignore"):
        critical = DOSE_AMPLITUDE * k2 ** (DOSE_POWER / 2) + DOSE_FLOOR
    return np.exp(-0.5 * dose_per_ang2[:, None] / critical)


def defocus_slopes(params: CtfParams, freqs_per_ang: np.ndarray) -> np.ndarray:
    """How much of itself each CTF changes by with the defocus, (N, F) float32 in 1/angstrom: ∂ log |CTF| / ∂ defocus.

    Both values of the defocus move together, so that it is π λ k² times the cotangent of the phase of the CTF, whatever
    its envelope and whether its sign was taken off the images. Arguments as of `evaluate_ctf`. Where the CTF is 0, it
    is as large as next to there.
    """
    k2 = np.square(freqs_per_ang, dtype=np.float64).sum(-1)
    tangent = np.tan(_phase(params, freqs_per_ang)).astype(np.float32)
    tangent[np.abs(tangent) < NEAREST_ZERO] = NEAREST_ZERO
    per_ang = np.pi * wavelength_ang(params.voltage_kv)[:, None] * k2
    return per_ang.astype(np.float32) / tangent


def _phase(params: CtfParams, freqs_per_ang: np.ndarray) -> np.ndarray:
    """(N, F) float64. What the CTF is the sine of."""
    freqs = np.asarray(freqs_per_ang, dtype=np.float64)
    kx, ky = freqs[..., 0], freqs[..., 1]
    k2 = kx**2 + ky**2
    weights = phase_weights(params)
    terms = np.stack([k2, kx**2 - ky**2, 2 * kx * ky, k2**2, np.ones_like(k2)], axis=-2)
    if params.even_zernike is not None:
        weights = np.concatenate([weights, -params.even_zernike], axis=1)
        terms = np.concatenate([terms, zernike_values(even_terms(params.even_zernike.shape[1]), freqs)], axis=-2)
    return weights @ terms if freqs.ndim == 2 else (weights[:, None] @ terms)[:, 0]


def phase_weights(params: CtfParams) -> np.ndarray:
    """(N, 5) float64 in radians. What k², kx² − ky², 2 kx ky, k⁴ and 1, with k in 1/angstrom, weigh in what the CTF is
    the sine of; symmetric aberrations come on top.

    k² cos 2(θ − dA) is linear in kx² − ky² and 2 kx ky, so that the phase of all particles is one matrix product.
    """
    lam = wavelength_ang(params.voltage_kv)
    mean = 0.5 * (params.defocus_u_ang + params.defocus_v_ang)
    half_difference = 0.5 * (params.defocus_u_ang - params.defocus_v_ang)
    double_angle = 2 * np.deg2rad(params.defocus_angle_deg)
    w = params.amplitude_contrast
    return np.stack(
        [
            np.pi * lam * mean,
            np.pi * lam * half_difference * np.cos(double_angle),
            np.pi * lam * half_difference * np.sin(double_angle),
            -0.5 * np.pi * (params.spherical_aberration_mm * 1e7) * lam**3,
            np.deg2rad(params.phase_shift_deg) + np.arctan2(w, np.sqrt(1 - w**2)),
        ],
        axis=1,
    )
