"""Poses that are nearly right, made better: a bounded climb of each particle's posterior in its own dimensions.

Three small rotations of the view and its shifts (S numbers: two of a single image, `poses.tied` has others) are moved
by Levenberg-Marquardt steps (Marquardt 1963) on the Gauss-Newton curvature, all particles of a batch at once. The
frequency limit rises on the way: the likelihood has a single hill as far as a turn moves the fastest wave by less
than about half a period, so the first limit follows from the largest turn and shift that are allowed, and every
further one doubles it. No pose is carried further than that, and one that ends no likelier than it began stays as it
was.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from scipy.spatial.transform import Rotation

from .refine_options import RefineOptions

LOWEST_RADIUS = 6.0
PARTICLE_RADIUS = 0.35
"""Distance of the outer parts of a particle from its centre, in boxes: what a small rotation moves most."""
PHASE = np.pi / 2
"""Largest phase, in radians, by which a pose may be wrong at the first frequency limit."""
Poses = tuple[np.ndarray, np.ndarray]
"""Rotations (B, 3, 3) and shifts (B, S) in Å."""

FIRST_DAMPING, LESS, MORE = 1e-2, 0.2, 8.0


@dataclass(frozen=True)
class Expansion:
    """The likelihood of B particles near their poses, to second order.

    Parameters are rotations about the view's x, y and z axes (radians), then shifts along x and y (Å), of one image
    after the other where a particle has several; or along x, y and z where a particle moves in space.
    """

    value: np.ndarray
    """(B,). Log-likelihood up to a constant of each particle."""
    gradient: np.ndarray
    """(B, 3 + S)."""
    curvature: np.ndarray
    """(B, 3 + S, 3 + S), positive semidefinite: minus the second derivatives, in Gauss and Newton's approximation. 0
    between shifts of different images.
    """

    def where(self, chosen: np.ndarray, other: "Expansion") -> "Expansion":
        """This expansion for particles where `chosen` (B,), the other's elsewhere."""
        return Expansion(
            np.where(chosen, self.value, other.value),
            np.where(chosen[:, None], self.gradient, other.gradient),
            np.where(chosen[:, None, None], self.curvature, other.curvature),
        )


class LocalModel(Protocol):
    """What refinement is told of B particles: how their likelihood changes near a pose."""

    def expand(self, rotations: np.ndarray, shifts_ang: np.ndarray, radius: float) -> Expansion:
        """At rotations (B, 3, 3), volume to view, and shifts (B, S), up to Fourier shell `radius`."""


@dataclass(frozen=True)
class RefinedPoses:
    """Poses of B particles after refinement."""

    rotations: np.ndarray
    """(B, 3, 3) float64, volume to view."""
    shifts_ang: np.ndarray
    """(B, S) float64."""
    score: np.ndarray
    """(B,). Log-posterior at the last frequency limit, up to a constant of each particle."""
    gain: np.ndarray
    """(B,). What it has risen by since the first pose; 0 where that one stayed."""


@dataclass(frozen=True)
class Bounds:
    """Where poses started, how far they may go, and how little of that is expected: a bound is two standard deviations
    of a Gaussian prior around the first pose.
    """

    rotations: np.ndarray
    """(B, 3, 3). First poses, volume to view."""
    shifts_ang: np.ndarray
    """(B, S)."""
    max_angle_deg: float
    max_shift_ang: float
    dimensions: int = 2
    """Numbers that a shift has: 2 in an image, 3 in space. A particle has one or several, each held by itself."""

    def hold(self, rotations: np.ndarray, shifts_ang: np.ndarray) -> Poses:
        """The poses brought back to the nearest ones that are allowed."""
        away = self._away(rotations, shifts_ang)
        turned = _shortened(away[:, :3], np.radians(self.max_angle_deg))
        moved = _shortened(away[:, 3:].reshape(-1, self.dimensions), self.max_shift_ang).reshape(shifts_ang.shape)
        first = Rotation.from_matrix(self.rotations)
        return (Rotation.from_rotvec(turned) * first).as_matrix(), self.shifts_ang + moved

    def weigh(self, here: Expansion, rotations: np.ndarray, shifts_ang: np.ndarray) -> Expansion:
        """The posterior's expansion from the likelihood's at these poses."""
        away = self._away(rotations, shifts_ang)
        limits = np.repeat([np.radians(self.max_angle_deg), max(self.max_shift_ang, 1e-9)], [3, away.shape[1] - 3])
        precision = 4 / limits**2
        return Expansion(
            here.value - (precision * away**2).sum(1) / 2,
            here.gradient - precision * away,
            here.curvature + np.diag(precision),
        )

    def at(self, index: np.ndarray) -> "Bounds":
        """The bounds of the particles at `index`."""
        return replace(self, rotations=self.rotations[index], shifts_ang=self.shifts_ang[index])

    def _away(self, rotations: np.ndarray, shifts_ang: np.ndarray) -> np.ndarray:
        """(B, 3 + S). How far poses are from the first ones: a rotation vector of the view, and a shift."""
        turned = Rotation.from_matrix(rotations) * Rotation.from_matrix(self.rotations).inv()
        return np.concatenate([turned.as_rotvec(), shifts_ang - self.shifts_ang], axis=1)


def refine(
    model: LocalModel, rotations: np.ndarray, shifts_ang: np.ndarray, radii: list[float], steps: int, bounds: Bounds
) -> RefinedPoses:
    """Climb from poses (B, 3, 3), (B, S) at rising frequency limits `radii`, up to `steps` steps at each."""
    start: Poses = np.asarray(rotations, np.float64), np.asarray(shifts_ang, np.float64)
    pose = start
    for radius in radii:
        pose, reached = _climb(model, pose, radius, steps, bounds)
    begun = bounds.weigh(model.expand(*start, radii[-1]), *start)
    better = reached.value > begun.value
    return RefinedPoses(
        np.where(better[:, None, None], pose[0], start[0]),
        np.where(better[:, None], pose[1], start[1]),
        np.maximum(reached.value, begun.value),
        np.maximum(reached.value - begun.value, 0.0),
    )


def rising_limits(options: RefineOptions, box: int, pixel_size_ang: float, last_radius: float) -> list[float]:
    """Frequency limits for poses that may be wrong by what `options` allow, each twice the one before."""
    by_turn = PHASE / (2 * np.pi * PARTICLE_RADIUS * np.radians(options.max_angle_deg))
    by_shift = PHASE * box * pixel_size_ang / (2 * np.pi * max(options.max_shift_ang, 1e-6))
    first = min(max(LOWEST_RADIUS, min(by_turn, by_shift)), last_radius)
    doublings = int(np.ceil(np.log2(last_radius / first)))
    return [first * 2**i for i in range(doublings)] + [last_radius]


def _climb(model: LocalModel, pose: Poses, radius: float, steps: int, bounds: Bounds) -> tuple[Poses, Expansion]:
    """A few damped steps of every particle at one frequency limit; each is kept where it is uphill."""
    here = bounds.weigh(model.expand(*pose, radius), *pose)
    damping = np.full(len(here.value), FIRST_DAMPING)
    for _ in range(steps):
        tried = bounds.hold(*_moved(*pose, _steps(here, damping)))
        there = bounds.weigh(model.expand(*tried, radius), *tried)
        uphill = there.value > here.value
        pose = np.where(uphill[:, None, None], tried[0], pose[0]), np.where(uphill[:, None], tried[1], pose[1])
        here = there.where(uphill, here)
        damping = damping * np.where(uphill, LESS, MORE)
    return pose, here


def _steps(here: Expansion, damping: np.ndarray) -> np.ndarray:
    """(B, 3 + S). Solutions of (H + λ diag H) δ = g, in units in which the diagonal is 1."""
    diagonal = np.diagonal(here.curvature, axis1=1, axis2=2)
    unit = 1 / np.sqrt(np.maximum(diagonal, 1e-12 * (1 + diagonal.max(axis=1, keepdims=True))))
    one = np.eye(diagonal.shape[1])
    matrix = here.curvature * unit[:, :, None] * unit[:, None, :] + one * (damping + 1e-6)[:, None, None]
    return unit * _solved(matrix, here.gradient * unit)


def _solved(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(B, 3 + S). Solutions of symmetric systems in which shifts of different images do not meet.

    The shifts of all images but the last are eliminated first: time grows with the number of images, not with its cube.
    """
    n = right.shape[1]
    if n <= 6:
        return np.linalg.solve(matrix, right[..., None])[..., 0]
    pairs, kept = np.arange(3, n - 2).reshape(-1, 2), [0, 1, 2, n - 2, n - 1]
    own, with_turns = matrix[:, pairs[:, :, None], pairs[:, None, :]], matrix[:, pairs, :3]
    free = np.linalg.solve(own, np.concatenate([with_turns, right[:, pairs, None]], axis=3))
    small, rest = matrix[:, kept][:, :, kept], right[:, kept]
    small[:, :3, :3] -= np.einsum("bvij,bvik->bjk", with_turns, free[..., :3])
    rest[:, :3] -= np.einsum("bvij,bvi->bj", with_turns, free[..., 3])
    last = np.linalg.solve(small, rest[..., None])[..., 0]
    others = free[..., 3] - np.einsum("bvij,bj->bvi", free[..., :3], last[:, :3])
    return np.concatenate([last[:, :3], others.reshape(len(last), -1), last[:, 3:]], axis=1)


def _moved(rotations: np.ndarray, shifts_ang: np.ndarray, steps: np.ndarray) -> Poses:
    turns = Rotation.from_rotvec(np.clip(steps[:, :3], -1, 1))
    return turns.as_matrix() @ rotations, shifts_ang + steps[:, 3:]


def _shortened(vectors: np.ndarray, limit: float) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors * np.minimum(1.0, limit / np.maximum(length, 1e-12))
