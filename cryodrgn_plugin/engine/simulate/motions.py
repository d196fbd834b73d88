"""Motions of atomic models: rigid superposition, rotation about a hinge, and the path between two conformations.

Every motion gives a list of models in order. Coordinates are angstrom and rotations act on column vectors (x, y, z).
"""

from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from ..atoms.atomic_model import AtomicModel
from ..errors import ConfigError


def best_fit(moving: np.ndarray, fixed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation R (3, 3) and translation t (3,) that bring (n, 3) `moving` closest to `fixed`: R x + t (Kabsch)."""
    centre_moving, centre_fixed = moving.mean(axis=0), fixed.mean(axis=0)
    u, _, vt = np.linalg.svd((moving - centre_moving).T @ (fixed - centre_fixed))
    handed = np.diag([1.0, 1.0, np.sign(np.linalg.det(vt.T @ u.T))])
    rotation = vt.T @ handed @ u.T
    return rotation, centre_fixed - rotation @ centre_moving


def superposed(coords: np.ndarray, fixed: np.ndarray, core: np.ndarray) -> np.ndarray:
    """(n, 3) `coords` moved as a whole so that the atoms `core` (mask or index) lie best on those of `fixed`."""
    rotation, translation = best_fit(coords[core], fixed[core])
    return coords @ rotation.T + translation


def trajectory(model: AtomicModel, frames: np.ndarray, core: np.ndarray | None = None) -> list[AtomicModel]:
    """States from (S, n, 3) coordinates of the model's atoms, each superposed on the first by `core` where given."""
    if frames.dtype.kind not in "iuf":
        raise ConfigError(f"The frames hold {frames.dtype} and no coordinates.")
    frames = np.asarray(frames, dtype=np.float64)
    if frames.ndim != 3 or frames.shape[1:] != (len(model), 3):
        raise ConfigError(f"The frames have the shape {frames.shape}; the model needs (frames, {len(model)}, 3).")
    if core is not None:
        frames = np.stack([superposed(frame, frames[0], core) for frame in frames])
    return [model.moved(frame) for frame in frames]


def hinge_rotation(
    model: AtomicModel, domain: np.ndarray, point_ang: np.ndarray, axis: np.ndarray, angles_rad: Sequence[float]
) -> list[AtomicModel]:
    """One state per angle, with the atoms of `domain` turned about the line through `point_ang` along `axis`."""
    axis = np.asarray(axis, dtype=np.float64)
    if not np.linalg.norm(axis) > 0:
        raise ConfigError("The hinge axis has no length; give a direction.")
    if not np.any(domain):
        raise ConfigError("The domain that should turn has no atoms; check its chain and residue range.")
    states = []
    for rotation in Rotation.from_rotvec(np.outer(angles_rad, axis / np.linalg.norm(axis))):
        coords = model.coords_ang.copy()
        coords[domain] = rotation.apply(coords[domain] - point_ang) + point_ang
        states.append(model.moved(coords))
    return states


def likely_hinge(domain: np.ndarray, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A point (3,) and an axis (3,) about which (n, 3) points of a domain swing away from the (m, 3) of the rest.

    The point is the centre of the tenth of the domain that is nearest to the rest; the axis is perpendicular to the
    lines from there to the centres of both.
    """
    from scipy.spatial import cKDTree

    distance, _ = cKDTree(rest).query(domain)
    point = domain[distance <= np.quantile(distance, 0.1)].mean(axis=0)
    axis = np.cross(domain.mean(axis=0) - point, rest.mean(axis=0) - point)
    length = np.linalg.norm(axis)
    if not length > 1e-6:
        raise ConfigError("The domain lies in line with the rest, so its hinge has no natural axis; give one.")
    return point, axis / length


def domain_path(
    first: AtomicModel, last: AtomicModel, core: np.ndarray, domains: Sequence[np.ndarray], fractions: Sequence[float]
) -> list[AtomicModel]:
    """States on the way from one conformation to another of the same atoms, with the core superposed.

    Each domain moves along the screw that carries it rigidly from its first to its last place, so that it keeps its
    shape where a straight line would shrink it; what is left over (its internal change, and all other atoms) is
    interpolated linearly. At fractions 0 and 1 the states are the two conformations exactly.

    Parameters
    ----------
    first, last : models with the same atoms in the same order (see `atoms.matched`).
    core : (n,) mask of the atoms that define the frame.
    domains : masks of the parts that move as rigid bodies, disjoint.
    fractions : positions along the path, 0 to 1.
    """
    if len(first) != len(last):
        raise ConfigError(f"The two conformations have {len(first)} and {len(last)} atoms; match them first.")
    start, end = first.coords_ang, superposed(last.coords_ang, first.coords_ang, core)
    screws = [(domain, Screw(*best_fit(start[domain], end[domain]))) for domain in domains]
    states = []
    for fraction in fractions:
        coords = (1 - fraction) * start + fraction * end
        for domain, screw in screws:
            internal = screw.inverse(end[domain]) - start[domain]
            coords[domain] = screw.apply(start[domain] + fraction * internal, fraction)
        states.append(first.moved(coords))
    return states


class Screw:
    """A rigid motion R x + t as a turn about a line and a slide along it, so that a fraction of it can be taken."""

    def __init__(self, rotation: np.ndarray, translation: np.ndarray) -> None:
        self.rotvec = Rotation.from_matrix(rotation).as_rotvec()
        angle = np.linalg.norm(self.rotvec)
        axis = self.rotvec / angle if angle > 1e-6 else np.zeros(3)
        self.slide = axis * (axis @ translation) if angle > 1e-6 else translation
        # A point of the axis stays on it: (I − R) p = t − slide. The system has rank 2; the shortest solution is taken.
        self.point = np.linalg.lstsq(np.eye(3) - rotation, translation - self.slide, rcond=1e-9)[0]

    def apply(self, coords: np.ndarray, fraction: float = 1.0) -> np.ndarray:
        """(n, 3) `coords` after this fraction of the motion."""
        turn = Rotation.from_rotvec(fraction * self.rotvec)
        return turn.apply(coords - self.point) + self.point + fraction * self.slide

    def inverse(self, coords: np.ndarray) -> np.ndarray:
        """The coordinates that `apply` brings to `coords`."""
        return Rotation.from_rotvec(-self.rotvec).apply(coords - self.point - self.slide) + self.point
