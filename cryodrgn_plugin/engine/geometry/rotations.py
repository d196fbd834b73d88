"""Rotations in RELION's convention: A = Rz(psi) Ry(tilt) Rz(rot) maps volume to view, r' = A r (docs/conventions.md).

Matrices act on column vectors (x, y, z). A central slice is I(kx, ky) = V(Aᵀ [kx, ky, 0]).
"""

import warnings

import numpy as np
from scipy.spatial.transform import Rotation


def matrices_from_euler(angles_deg: np.ndarray) -> np.ndarray:
    """Rotation matrices of RELION's (rot, tilt, psi).

    Parameters
    ----------
    angles_deg : (..., 3). rlnAngleRot, rlnAngleTilt, rlnAnglePsi in degrees.

    Returns
    -------
    (..., 3, 3) float64. Volume to view.
    """
    angles = np.asarray(angles_deg, dtype=np.float64)
    flat = Rotation.from_euler("ZYZ", angles.reshape(-1, 3), degrees=True).as_matrix()
    return np.swapaxes(flat, -1, -2).reshape(*angles.shape[:-1], 3, 3)


def euler_from_matrices(matrices: np.ndarray) -> np.ndarray:
    """(rot, tilt, psi) in degrees, the inverse of `matrices_from_euler`; shape (..., 3). Without a tilt psi is 0."""
    matrices = np.asarray(matrices, dtype=np.float64)
    transposed = np.swapaxes(matrices, -1, -2).reshape(-1, 3, 3)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Gimbal lock")
        angles = Rotation.from_matrix(transposed).as_euler("ZYZ", degrees=True)
    return angles.reshape(*matrices.shape[:-2], 3)


def random_matrices(count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` rotations drawn uniformly from SO(3), (count, 3, 3) float64."""
    return Rotation.random(count, random_state=np.random.RandomState(rng.integers(2**31))).as_matrix()


def angular_distance_deg(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angle of the rotation between `a` and `b`, both (..., 3, 3); (...,) in degrees."""
    trace = np.einsum("...ij,...ij->...", a, b)
    return np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))


def tilt_about_x(angle_deg: float) -> np.ndarray:
    """(3, 3). The view after the stage was tilted about the image's x axis: y turns towards z for positive angles."""
    cosine, sine = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    return np.array([[1.0, 0.0, 0.0], [0.0, cosine, -sine], [0.0, sine, cosine]])
