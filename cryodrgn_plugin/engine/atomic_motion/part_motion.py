"""The motion of rigid parts as a smooth function of the latent space.

Turns, moves and occupancies known in M maps, with their errors, are regressed on the positions of the maps by Gaussian
processes with a squared-exponential kernel (Rasmussen and Williams 2006, 2.2): each of the numbers of a part has the
variance that it has among the maps; all of a part share one length, and that length is taken under which maps that are
left out are told best by the others. A map in which a part is absent says nothing of where the part would be.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from .part_poses import PartPoses

ABSENT = 0.25
"""Occupancy below which a part has no place."""
LENGTHS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Of the kernel, in distances between neighbouring maps."""
LEAST_TURN_RAD, LEAST_MOVE_PX, LEAST_OCCUPANCY = 0.005, 0.05, 0.02
"""Errors are at least these: noise is not all that is wrong with a map."""
FULLEST = 90.0
"""Percentile over the particles of the occupancy that counts as 1."""


@dataclass(frozen=True)
class PartMotion:
    """P parts of n beads and how they move; made by `of`."""

    labels: np.ndarray
    """(n,) part of each bead, from 0."""
    centres_px: np.ndarray
    """(P, 3) about which parts turn."""
    points: np.ndarray
    """(M, D) positions of the maps."""
    means: np.ndarray
    """(P, 7) of turn, move and occupancy."""
    lengths: np.ndarray
    """(P,) of the kernels."""
    weights: np.ndarray
    """(P, M, 7) of the maps' kernels."""
    posed: np.ndarray
    """(M, P) whether a part is there, so that it has a place."""

    @classmethod
    def of(
        cls, labels: np.ndarray, centres_px: np.ndarray, poses: list[PartPoses], points: np.ndarray, share: np.ndarray
    ) -> "PartMotion":
        """From the poses in M maps at (M, D) positions, which (M,) shares of the particles are nearest to."""
        values = np.stack([np.c_[one.turns, one.moves_px, one.occupancy] for one in poses])
        fullest = _fullest(values[:, :, 6], share)
        values[:, :, 6] = np.clip(values[:, :, 6] / fullest, 0, 1)
        posed = values[:, :, 6] >= ABSENT
        errors = np.stack([_errors(one) for one in poses])
        means, lengths, weights = zip(
            *(
                _regressed(values[:, part], errors[:, part], posed[:, part], points, share)
                for part in range(values.shape[1])
            ),
            strict=True,
        )
        return cls(labels, centres_px, points, np.stack(means), np.array(lengths), np.stack(weights), posed)

    def at(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Turns (m, P, 3) in radians, moves (m, P, 3) in voxels and occupancies (m, P) at positions (m, D)."""
        distance2 = np.square(points[:, None] - self.points).sum(axis=2)
        kernels = np.exp(-distance2[None] / (2 * self.lengths[:, None, None] ** 2))
        values = self.means[:, None] + kernels @ self.weights
        values = np.moveaxis(values, 0, 1)
        return values[..., :3], values[..., 3:6], np.clip(values[..., 6], 0, 1)

    def frames(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rotations R (m, P, 3, 3) and translations u (m, P, 3) in voxels, so that part p lies at R x + u;
        occupancies."""
        turns, moves, occupancy = self.at(points)
        rotations = Rotation.from_rotvec(turns.reshape(-1, 3)).as_matrix().reshape(*turns.shape, 3)
        return rotations, moves + self.centres_px - np.einsum("mpxy,py->mpx", rotations, self.centres_px), occupancy

    def places_px(self, reference_px: np.ndarray, points: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
        """(m, n, 3) places at positions (m, D) of points (n, 3) of the reference that belong to parts `labels` (n,)."""
        labels = self.labels if labels is None else labels
        rotations, shifts, _ = self.frames(points)
        return np.einsum("mnxy,ny->mnx", rotations[:, labels], reference_px) + shifts[:, labels]


def _regressed(
    values: np.ndarray, errors: np.ndarray, posed: np.ndarray, points: np.ndarray, share: np.ndarray
) -> tuple[np.ndarray, float, np.ndarray]:
    """Mean (7,), length and kernel weights (M, 7) of one part, from values and errors (M, 7)."""
    spacing = _spacing(points)
    counted = [posed] * 6 + [np.ones(len(points), dtype=bool)]
    best = (-np.inf, np.zeros(7), spacing, np.zeros((len(points), 7)))
    for length in np.array(LENGTHS) * spacing:
        score, weights, means = 0.0, np.zeros((len(points), 7)), np.zeros(7)
        for number, use in enumerate(counted):
            if not use.any():
                continue
            told = _one_number(values[use, number], errors[use, number], points[use], share[use], length)
            means[number], weights[use, number], likelihood = told
            score += likelihood
        if score > best[0]:
            best = (score, means, length, weights)
    return best[1:]


def _one_number(
    values: np.ndarray, errors: np.ndarray, points: np.ndarray, share: np.ndarray, length: float
) -> tuple[float, np.ndarray, float]:
    """Mean, kernel weights (m,) and the log-likelihood of values left out, of one number known in m maps."""
    share = share / share.sum()
    mean = float(share @ values)
    variance = max(float(share @ (values - mean) ** 2), float(np.square(errors).min()))
    distance2 = np.square(points[:, None] - points).sum(axis=2)
    covariance = variance * np.exp(-distance2 / (2 * length**2)) + np.diag(errors**2)
    inverse = np.linalg.inv(covariance)
    solved = inverse @ (values - mean)
    spread = 1 / inverse.diagonal()
    missed = solved * spread
    likelihood = -0.5 * share @ (missed**2 / spread + np.log(spread)) * len(values)
    return mean, variance * solved, likelihood


def _errors(poses: PartPoses) -> np.ndarray:
    """(P, 7) standard deviations."""
    known = np.sqrt(np.maximum(np.diagonal(poses.covariance, axis1=1, axis2=2), 0))
    least = np.r_[np.full(3, LEAST_TURN_RAD), np.full(3, LEAST_MOVE_PX)]
    return np.c_[np.maximum(known, least), np.full(len(known), LEAST_OCCUPANCY)]


def _spacing(points: np.ndarray) -> float:
    """Median distance from a map to its nearest neighbour."""
    if len(points) < 2:
        return 1.0
    distance = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(distance, np.inf)
    return max(float(np.median(distance.min(axis=1))), 1e-9)


def _fullest(occupancy: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(P,) the occupancy of each part where it is fullest, at least one half, for the grey scale is not exact."""
    full = np.empty(occupancy.shape[1])
    for part, values in enumerate(occupancy.T):
        order = np.argsort(values)
        below = np.cumsum(share[order]) / share.sum()
        full[part] = values[order][np.searchsorted(below, FULLEST / 100).clip(max=len(values) - 1)]
    return np.maximum(full, 0.5)
