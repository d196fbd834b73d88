"""Rigid parts laid into a map: a turn, a move and an occupancy of each, with what the map's noise leaves open.

Part p with the centre c_p lies at R_p (x − c_p) + c_p + u_p. Turns and moves of all parts are found together by
Gauss-Newton steps on the fit of blurred beads (`bead_overlap`), the equations of beads summed over the beads of parts;
occupancies are a bounded linear least-squares problem at these places. The covariance of turns and moves is the inverse
of the curvature in units of the noise. Places are voxels from voxel D//2.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from scipy.optimize import lsq_linear
from scipy.spatial.transform import Rotation

from .bead_overlap import BeadScale, BlurredMap, overlaps

BLURS_ANG = (10.0, 5.0)
STEPS = (5, 5)
"""Gauss-Newton steps at each."""
MOST_OCCUPIED = 1.5
"""Bound of occupancies, for grey values of maps are not exact; they are brought to 1 later."""
TURN_FREE_RAD, MOVE_FREE_ANG = 0.5, 10.0
"""How far from its start a part may go: standard deviations of a prior."""


@dataclass(frozen=True)
class PartPoses:
    """Of P parts: turns as vectors (P, 3) in radians, moves (P, 3) in voxels, occupancies (P,), the covariance (P, 6,
    6) of turns and moves, and `cost`, the negative log-likelihood but for a constant."""

    turns: np.ndarray
    moves_px: np.ndarray
    occupancy: np.ndarray
    covariance: np.ndarray
    cost: float = np.inf


class PartFitter:
    """Lays the parts of one model into maps of one noise."""

    def __init__(
        self,
        places_px: np.ndarray,
        weights: np.ndarray,
        labels: np.ndarray,
        scale: BeadScale,
        noise: float,
        pixel_size_ang: float,
    ) -> None:
        """places_px (n, 3) and weights (n,) of the beads of the model as it lies in the map; labels (n,) their
        parts."""
        self.places, self.labels, self.count = places_px, labels, int(labels.max()) + 1
        self.mass = scale.amplitude * np.asarray(weights, dtype=np.float64)
        self.scale, self.noise, self.pixel = scale, noise, pixel_size_ang
        self.centres_px = np.stack([places_px[labels == part].mean(axis=0) for part in range(self.count)])

    def at(self, turns: np.ndarray, moves_px: np.ndarray) -> np.ndarray:
        """(n, 3) places of the beads with parts turned and moved by (P, 3) each."""
        rotations = Rotation.from_rotvec(turns).as_matrix()[self.labels]
        centre = self.centres_px[self.labels]
        return np.einsum("nxy,ny->nx", rotations, self.places - centre) + centre + moves_px[self.labels]

    def fit(self, volume: np.ndarray, start: PartPoses, near: bool = False) -> PartPoses:
        """The parts in a map (D, D, D), from a start near by; `near` leaves out the coarse steps."""
        turns, moves = start.turns, start.moves_px
        for blur_ang, steps in list(zip(BLURS_ANG, STEPS, strict=True))[int(near) :]:
            seen = BlurredMap(volume, self.scale.sigma_px, blur_ang / self.pixel)
            occupancy = self._occupancies(seen, turns, moves)
            for _ in range(steps):
                turns, moves, curvature = self._step(seen, turns, moves, occupancy, start)
        blocks = np.linalg.inv(curvature).reshape(self.count, 6, self.count, 6)
        covariance = blocks[np.arange(self.count), :, np.arange(self.count)]
        return PartPoses(turns, moves, occupancy, covariance, self.cost(seen, turns, moves, occupancy))

    def cost_in(self, volume: np.ndarray, poses: PartPoses) -> float:
        """The cost of poses in a map that they were not fitted to."""
        seen = BlurredMap(volume, self.scale.sigma_px, BLURS_ANG[-1] / self.pixel)
        return self.cost(seen, poses.turns, poses.moves_px, poses.occupancy)

    def cost(self, seen: BlurredMap, turns: np.ndarray, moves: np.ndarray, occupancy: np.ndarray) -> float:
        """The negative log-likelihood of parts with turns and moves (P, 3) and occupancies (P,), but for a constant."""
        places, mass = self.at(turns, moves), self.mass * occupancy[self.labels]
        values, _ = seen(places)
        kernel, _ = overlaps(places, seen.width_px)
        return float((-mass @ values + 0.5 * mass @ (kernel - seen.box**-3) @ mass) / self.noise)

    def _step(
        self, seen: BlurredMap, turns: np.ndarray, moves: np.ndarray, occupancy: np.ndarray, start: PartPoses
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One Gauss-Newton step: new turns and moves, and the curvature (6P, 6P)."""
        places, mass = self.at(turns, moves), self.mass * occupancy[self.labels]
        _, slopes = seen(places)
        kernel, apart = overlaps(places, seen.width_px)
        pairs = mass[:, None] * mass * kernel / self.noise
        gradient = -mass[:, None] * slopes / self.noise - np.einsum("ij,ijx->ix", pairs, apart)
        basis = self._rigid(places, moves)
        # Σ_ij B_i (1/2s² − d dᵀ) K B_j, beads of a pair of parts together; d_ij = x_ij/2s².
        scaled = pairs / (2 * seen.width_px**2)
        curvature = sum(basis[:, axis].T @ scaled @ basis[:, axis] for axis in range(3))
        curvature -= _twice_contracted(pairs, apart, basis)
        right = np.einsum("ixc,ix->c", basis, gradient)
        prior, off = self._prior(turns, moves, start)
        curvature[np.diag_indices(len(curvature))] += prior
        step = -scipy.linalg.solve(curvature, right + prior * off, assume_a="pos").reshape(self.count, 6)
        turned = Rotation.from_rotvec(step[:, :3]) * Rotation.from_rotvec(turns)
        return turned.as_rotvec(), moves + step[:, 3:], curvature

    def _rigid(self, places: np.ndarray, moves: np.ndarray) -> np.ndarray:
        """(n, 3, 6P) derivatives of places by turns about the parts' centres and by moves."""
        arms = places - (self.centres_px + moves)[self.labels]
        basis = np.zeros((len(places), 3, self.count, 6))
        bead = np.arange(len(places))
        for axis in range(3):
            unit = np.eye(3)[axis]
            basis[bead, :, self.labels, axis] = np.cross(unit, arms)
            basis[bead, :, self.labels, 3 + axis] = unit
        return basis.reshape(len(places), 3, -1)

    def _prior(self, turns: np.ndarray, moves: np.ndarray, start: PartPoses) -> tuple[np.ndarray, np.ndarray]:
        """Precision (6P,) of the prior, and how far from its middle the parts are."""
        turn = (Rotation.from_rotvec(turns) * Rotation.from_rotvec(start.turns).inv()).as_rotvec()
        precision = np.tile(np.repeat([TURN_FREE_RAD**-2, (MOVE_FREE_ANG / self.pixel) ** -2], 3), self.count)
        return precision, np.concatenate([turn, moves - start.moves_px], axis=1).ravel()

    def _occupancies(self, seen: BlurredMap, turns: np.ndarray, moves: np.ndarray) -> np.ndarray:
        places = self.at(turns, moves)
        values, _ = seen(places)
        kernel, _ = overlaps(places, seen.width_px)
        members = (self.labels[:, None] == np.arange(self.count)) * self.mass[:, None]
        equations = members.T @ (kernel - seen.box**-3) @ members
        power, axes = np.linalg.eigh(equations)
        root = np.sqrt(np.maximum(power, 1e-9 * max(power[-1], 1e-30)))
        right = axes.T @ (members.T @ values) / root
        return lsq_linear(root[:, None] * axes.T, right, bounds=(0, MOST_OCCUPIED)).x


def _twice_contracted(pairs: np.ndarray, apart: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Σ_ij pairs_ij (B_i · d_ij)(d_ij · B_j), (C, C); d (n, n, 3), B (n, 3, C)."""
    total = np.zeros((basis.shape[2],) * 2)
    for x in range(3):
        for y in range(3):
            total += basis[:, x].T @ (pairs * apart[:, :, x] * apart[:, :, y]) @ basis[:, y]
    return total
