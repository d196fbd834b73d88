"""From where particles are seen: even views, side views, top views, and a few preferred directions.

The direction from which a particle is seen is the third row of its rotation: the axis of the volume that points along
the view. Around a direction it has a von Mises–Fisher distribution, of density ∝ exp(κ cos θ); around the equator of
the z axis the density is ∝ exp(−κ z²/2) (Watson's girdle). Both spread by about 1/√κ rad where κ is large.
"""

import numpy as np
from scipy.special import ndtr, ndtri

from ..errors import DataError
from ..geometry.rotations import matrices_from_euler
from ..io.particles import read_particles
from .config import SimulationConfig

_EVENNESS = 2.0
"""Shares of preferred directions are Dirichlet with this parameter: uneven, and none is empty."""


def drawn_views(config: SimulationConfig, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 3, 3) float64 rotations, volume to view, with the directions that the settings ask for.

    Raises DataError when a star file to draw from cannot be used.
    """
    if config.views_from:
        angles_deg = _angles_of(config.views_from)[:, :2]
        rot_deg, tilt_deg = angles_deg[rng.integers(len(angles_deg), size=count)].T
    else:
        directions = _directions(config, count, rng)
        rot_deg = np.degrees(np.arctan2(directions[:, 1], directions[:, 0]))
        tilt_deg = np.degrees(np.arccos(np.clip(directions[:, 2], -1, 1)))
    return matrices_from_euler(np.stack([rot_deg, tilt_deg, rng.uniform(-180, 180, count)], axis=1))


def _angles_of(path: str) -> np.ndarray:
    """(N, 3) finite Euler angles of a star file in degrees."""
    angles_deg = read_particles(path).euler_deg
    if angles_deg is None or not np.isfinite(angles_deg).all():
        raise DataError(f"{path} has particles without angles; give a star file of refined particles for views_from.")
    return angles_deg


def _directions(config: SimulationConfig, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 3) unit vectors."""
    concentration = config.views_concentration
    if config.views == "even":
        return _ring(rng.uniform(-1, 1, count), rng)
    if config.views == "side":
        return _ring(_girdle_heights(concentration, count, rng), rng)
    if config.views == "top":
        up = _ring(_cap_heights(concentration, count, rng), rng)
        return up * rng.choice([-1.0, 1.0], (count, 1))
    axes = _ring(rng.uniform(-1, 1, config.preferred_views), rng)
    shares = rng.dirichlet(np.full(len(axes), _EVENNESS))
    around_pole = _ring(_cap_heights(concentration, count, rng), rng)
    frames = np.stack([_frame(axis) for axis in axes])[rng.choice(len(axes), count, p=shares)]
    return np.einsum("nij,nj->ni", frames, around_pole)


def _ring(heights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n, 3) unit vectors with these z and an even azimuth."""
    azimuth = rng.uniform(0, 2 * np.pi, len(heights))
    across = np.sqrt(1 - heights**2)
    return np.stack([across * np.cos(azimuth), across * np.sin(azimuth), heights], axis=1)


def _cap_heights(concentration: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count,) cos θ of a von Mises–Fisher distribution on the sphere, by its inverse."""
    share = rng.uniform(0, 1, count)
    if not concentration:
        return 2 * share - 1
    height = 1 + np.log(share + (1 - share) * np.exp(-2 * concentration)) / concentration
    return np.clip(height, -1, 1)


def _girdle_heights(concentration: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count,) z of density ∝ exp(−κ z²/2) between −1 and 1, by its inverse."""
    share = rng.uniform(0, 1, count)
    if not concentration:
        return 2 * share - 1
    edge = np.sqrt(concentration)
    low, high = ndtr(-edge), ndtr(edge)
    return np.clip(ndtri(low + share * (high - low)) / edge, -1, 1)


def _frame(axis: np.ndarray) -> np.ndarray:
    """(3, 3) rotation that brings the z axis to `axis` (3,)."""
    aside = np.eye(3)[np.argmin(np.abs(axis))]
    x = np.cross(aside, axis)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(axis, x), axis], axis=1)
