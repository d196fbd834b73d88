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
import torch
from torch import Tensor

from ..geometry.continuous import turn_vectors, turns
from .refine_options import RefineOptions

LOWEST_RADIUS = 6.0
PARTICLE_RADIUS = 0.35
"""Distance of the outer parts of a particle from its centre, in boxes: what a small rotation moves most."""
PHASE = np.pi / 2
"""Largest phase, in radians, by which a pose may be wrong at the first frequency limit."""
Poses = tuple[Tensor, Tensor]
"""Rotations (B, 3, 3) and shifts (B, S) in Å, float64."""

FIRST_DAMPING, LESS, MORE = 1e-2, 0.2, 8.0


@dataclass(frozen=True)
class Expansion:
    """The likelihood of B particles near their poses, to second order.

    Parameters are rotations about the view's x, y and z axes (radians), then shifts along x and y (Å), of one image
    after the other where a particle has several; or along x, y and z where a particle moves in space.
    """

    value: Tensor
    """(B,). Log-likelihood up to a constant of each particle."""
    gradient: Tensor
    """(B, 3 + S)."""
    curvature: Tensor
    """(B, 3 + S, 3 + S), positive semidefinite: minus the second derivatives, in Gauss and Newton's approximation. 0
    between shifts of different images.
    """

    def where(self, chosen: Tensor, other: "Expansion") -> "Expansion":
        """This expansion for particles where `chosen` (B,), the other's elsewhere."""
        return Expansion(
            torch.where(chosen, self.value, other.value),
            torch.where(chosen[:, None], self.gradient, other.gradient),
            torch.where(chosen[:, None, None], self.curvature, other.curvature),
        )


class LocalModel(Protocol):
    """What refinement is told of B particles: how their likelihood changes near a pose."""

    def expand(self, rotations: Tensor, shifts_ang: Tensor, radius: float) -> Expansion:
        """At rotations (B, 3, 3), volume to view, and shifts (B, S), up to Fourier shell `radius`."""


@dataclass(frozen=True)
class RefinedPoses:
    """Poses of B particles after refinement."""

    rotations: Tensor
    """(B, 3, 3) float64, volume to view."""
    shifts_ang: Tensor
    """(B, S) float64."""
    score: Tensor
    """(B,). Log-posterior at the last frequency limit, up to a constant of each particle."""
    gain: Tensor
    """(B,). What it has risen by since the first pose; 0 where that one stayed."""


@dataclass(frozen=True)
class Bounds:
    """Where poses started, how far they may go, and how little of that is expected: a bound is two standard deviations
    of a Gaussian prior around the first pose.
    """

    rotations: Tensor
    """(B, 3, 3). First poses, volume to view."""
    shifts_ang: Tensor
    """(B, S)."""
    max_angle_deg: float
    max_shift_ang: float
    dimensions: int = 2
    """Numbers that a shift has: 2 in an image, 3 in space. A particle has one or several, each held by itself."""

    def hold(self, rotations: Tensor, shifts_ang: Tensor) -> Poses:
        """The poses brought back to the nearest ones that are allowed."""
        away = self._away(rotations, shifts_ang)
        turned = _shortened(away[:, :3], float(np.radians(self.max_angle_deg)))
        moved = _shortened(away[:, 3:].reshape(-1, self.dimensions), self.max_shift_ang).reshape(shifts_ang.shape)
        return turns(turned) @ self.rotations, self.shifts_ang + moved

    def weigh(self, here: Expansion, rotations: Tensor, shifts_ang: Tensor) -> Expansion:
        """The posterior's expansion from the likelihood's at these poses."""
        away = self._away(rotations, shifts_ang)
        precision = torch.full_like(away[0], 4 / max(self.max_shift_ang, 1e-9) ** 2)
        precision[:3] = 4 / np.radians(self.max_angle_deg) ** 2
        return Expansion(
            here.value - (precision * away**2).sum(1) / 2,
            here.gradient - precision * away,
            here.curvature + precision.diag(),
        )

    def at(self, index: Tensor) -> "Bounds":
        """The bounds of the particles at `index`."""
        return replace(self, rotations=self.rotations[index], shifts_ang=self.shifts_ang[index])

    def _away(self, rotations: Tensor, shifts_ang: Tensor) -> Tensor:
        """(B, 3 + S). How far poses are from the first ones: a rotation vector of the view, and a shift."""
        return torch.cat([turn_vectors(rotations @ self.rotations.mT), shifts_ang - self.shifts_ang], dim=1)


def refine(
    model: LocalModel, rotations: Tensor, shifts_ang: Tensor, radii: list[float], steps: int, bounds: Bounds
) -> RefinedPoses:
    """Climb from poses (B, 3, 3), (B, S) at rising frequency limits `radii`, up to `steps` steps at each."""
    pose = start = rotations.double(), shifts_ang.double()
    for radius in radii:
        pose, reached = _climb(model, pose, radius, steps, bounds)
    begun = bounds.weigh(model.expand(*start, radii[-1]), *start)
    better = reached.value > begun.value
    return RefinedPoses(
        torch.where(better[:, None, None], pose[0], start[0]),
        torch.where(better[:, None], pose[1], start[1]),
        torch.maximum(reached.value, begun.value),
        (reached.value - begun.value).clamp(min=0),
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
    damping = torch.full_like(here.value, FIRST_DAMPING)
    for _ in range(steps):
        tried = bounds.hold(*_moved(*pose, _steps(here, damping)))
        there = bounds.weigh(model.expand(*tried, radius), *tried)
        uphill = there.value > here.value
        pose = torch.where(uphill[:, None, None], tried[0], pose[0]), torch.where(uphill[:, None], tried[1], pose[1])
        here = there.where(uphill, here)
        damping = damping * torch.where(uphill, LESS, MORE)
    return pose, here


def _steps(here: Expansion, damping: Tensor) -> Tensor:
    """(B, 3 + S). Solutions of (H + λ diag H) δ = g, in units in which the diagonal is 1."""
    diagonal = here.curvature.diagonal(dim1=1, dim2=2)
    unit = torch.maximum(diagonal, 1e-12 * (1 + diagonal.amax(1, keepdim=True))).rsqrt()
    identity = torch.eye(diagonal.shape[1], dtype=unit.dtype, device=unit.device)
    matrix = here.curvature * unit[:, :, None] * unit[:, None, :] + identity * (damping + 1e-6)[:, None, None]
    return unit * _solved(matrix, here.gradient * unit)


def _solved(matrix: Tensor, right: Tensor) -> Tensor:
    """(B, 3 + S). Solutions of symmetric systems in which shifts of different images do not meet.

    The shifts of all images but the last are eliminated first: time grows with the number of images, not with its cube.
    """
    n = right.shape[1]
    if n <= 6:
        return torch.linalg.solve(matrix, right)
    # The two shifts of every image but the last; the three turns before them and the last image's shifts are kept.
    pairs = torch.arange(3, n - 2, device=right.device).view(-1, 2)
    kept = torch.as_tensor(np.array([0, 1, 2, n - 2, n - 1]), device=right.device)
    own, with_turns = matrix[:, pairs[:, :, None], pairs[:, None, :]], matrix[:, pairs, :3]
    free = torch.linalg.solve(own, torch.cat([with_turns, right[:, pairs, None]], dim=3))
    small, rest = matrix[:, kept][:, :, kept], right[:, kept]
    small[:, :3, :3] -= torch.einsum("bvij,bvik->bjk", with_turns, free[..., :3])
    rest[:, :3] -= torch.einsum("bvij,bvi->bj", with_turns, free[..., 3])
    last = torch.linalg.solve(small, rest)
    others = free[..., 3] - torch.einsum("bvij,bj->bvi", free[..., :3], last[:, :3])
    return torch.cat([last[:, :3], others.flatten(1), last[:, 3:]], dim=1)


def _moved(rotations: Tensor, shifts_ang: Tensor, steps: Tensor) -> Poses:
    return turns(steps[:, :3].clamp(-1, 1)) @ rotations, shifts_ang + steps[:, 3:]


def _shortened(vectors: Tensor, limit: float) -> Tensor:
    length = vectors.norm(dim=1, keepdim=True)
    return vectors * (limit / length.clamp(min=1e-12)).clamp(max=1.0)
