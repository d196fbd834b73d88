"""A small protein of two domains, of which one turns about a hinge or is absent, and its maps with known noise."""

import numpy as np
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.atomic_motion.bead_overlap import density
from cryodrgn_plugin.engine.atomic_motion.node_maps import NodeMaps
from cryodrgn_plugin.engine.atoms.atomic_model import AtomicModel

BOX, PIXEL_ANG, SIGMA_PX = 32, 4.0, 0.9
EACH = 70
"""Residues of a domain, each a chain."""
AXIS = np.array([0.2, 0.5, 0.84])
ARM = np.arange(2 * EACH) >= EACH


def two_domains(seed: int = 3) -> AtomicModel:
    """CA atoms of chains A and B; B is the domain that moves."""
    rng = np.random.default_rng(seed)
    body = _chain(rng, np.array([26.0, 12, 9])) + [-20, 5, 0]
    body[:20] += [0, 10, 12]
    arm = _chain(rng, np.array([9.0, 24, 11])) + [16, -8, 6]
    chains = np.repeat(["A", "B"], EACH)
    return AtomicModel(
        np.concatenate([body, arm]),
        np.full(2 * EACH, 6, np.float32),
        chains,
        np.tile(np.arange(1, EACH + 1), 2),
        np.full(2 * EACH, "CA"),
        np.full(2 * EACH, "ALA"),
    )


def turned(model: AtomicModel, angle_deg: float) -> np.ndarray:
    """(n, 3) with the arm turned about the origin."""
    coords = model.coords_ang.copy()
    axis = AXIS / np.linalg.norm(AXIS)
    coords[ARM] = Rotation.from_rotvec(np.radians(angle_deg) * axis).apply(coords[ARM])
    return coords


def maps_of(states: list[np.ndarray], occupancies: list[float], noise: float, seed: int = 0) -> NodeMaps:
    """Maps of beads at (n, 3) Å, the arm with an occupancy, in halves with independent noise per voxel."""
    rng = np.random.default_rng(seed)
    clean = np.stack(
        [
            density(coords / PIXEL_ANG, 6 * np.where(ARM, there, 1.0), SIGMA_PX, BOX)
            for coords, there in zip(states, occupancies, strict=True)
        ]
    )
    halves = clean + noise * rng.standard_normal((2, *clean.shape))
    points = np.arange(float(len(states)))[:, None]
    share = np.full(len(states), 1 / len(states))
    return NodeMaps(points.astype(np.float32), points, share, halves.mean(axis=0).astype(np.float32), halves)


def _chain(rng: np.random.Generator, widths_ang: np.ndarray) -> np.ndarray:
    """Points of an ellipsoid in an order in which neighbours are near."""
    points = rng.normal(size=(EACH, 3))
    points *= rng.uniform(size=(EACH, 1)) ** (1 / 3) / np.linalg.norm(points, axis=1, keepdims=True)
    points = list(points * widths_ang)
    ordered = [points.pop(0)]
    while points:
        nearest = int(np.argmin([np.linalg.norm(point - ordered[-1]) for point in points]))
        ordered.append(points.pop(nearest))
    return np.array(ordered)
