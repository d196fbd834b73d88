"""The domains of a model as it was given: the parts that move, and within them what the maps have in another place.

A domain that is wrong and stands still is no part of any motion. In the frame of its part the beads that were followed
by themselves are averaged over the maps; where this shape and the model's are two rigid pieces that lie differently to
each other, the part is cut, and the pieces are looked at in turn. A cut too many does no harm: both sides are then
where the model has them.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from ..simulate.motions import best_fit
from .model_in_run import ModelInRun, part_starts
from .part_motion import ABSENT, PartMotion
from .part_poses import PartFitter, PartPoses
from .rigid_parts import candidate_parts

SMALLEST = 20
"""Beads of a domain."""
MOST_DOMAINS = 10
CUT_ANG = 2.0
"""Root mean square distance by which two pieces lie differently to each other, at least."""


@dataclass(frozen=True)
class Domains:
    """Domains by falling size; they lie in the maps as parts do."""

    labels: np.ndarray
    """(n,) of each bead, from 0."""
    poses: list[PartPoses]
    """In each map."""
    motion: PartMotion

    @property
    def count(self) -> int:
        return int(self.labels.max()) + 1

    def in_frame(self, points: np.ndarray, domain: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A domain in the frame of the first, at positions (m, D) of the latent space: rotation Q (m, 3, 3) and
        translation w (m, 3) in voxels, so that it lies at Q x + w, and whether it is there (m,)."""
        rotations, shifts, occupancy = self.motion.frames(points)
        back = np.swapaxes(rotations[:, 0], 1, 2)
        moved = np.einsum("mxy,my->mx", back, shifts[:, domain] - shifts[:, 0])
        return back @ rotations[:, domain], moved, occupancy[:, domain] >= ABSENT

    def error(self, domain: int, places_px: np.ndarray) -> tuple[float, float]:
        """Standard error, median over the maps in which it is, of the places (n, 3) of a domain's beads in voxels (root
        mean square), and of its turn in radians."""
        there = self.motion.posed[:, domain] | ~self.motion.posed[:, domain].any()
        known = [pose for pose, counted in zip(self.poses, there, strict=True) if counted]
        variance = np.median([pose.covariance[domain].diagonal() for pose in known], axis=0)
        spread = np.square(places_px - places_px.mean(axis=0)).mean(axis=0)
        by_turns = variance[:3] @ (spread.sum() - spread)
        return float(np.sqrt(variance[3:].sum() + by_turns)), float(np.sqrt(variance[:3].mean()))


def domains_of(found: ModelInRun) -> Domains:
    """The parts of a model in a run, cut where the maps have pieces of them in other places than the model."""
    given_ang = found.reference_px * found.pixel_size_ang
    shape_ang = _mean_shape_px(found) * found.pixel_size_ang
    labels, waiting, count = found.motion.labels.copy(), list(range(found.parts)), found.parts
    while waiting and count < MOST_DOMAINS:
        members = np.flatnonzero(labels == waiting[-1])
        second = _cut(given_ang[members], shape_ang[members], found.beads.chains[members])
        if second is None:
            waiting.pop()
            continue
        labels[members[second]] = count
        waiting.append(count)
        count += 1
    if count == found.parts:
        return Domains(labels, found.poses, found.motion)
    return _laid(found, np.argsort(np.argsort(-np.bincount(labels), kind="stable"))[labels])


def _mean_shape_px(found: ModelInRun) -> np.ndarray:
    """(n, 3) mean over the maps of the beads that were followed by themselves, each in the frame of its part."""
    rotations, shifts, _ = found.motion.frames(found.maps.points)
    labels, total = found.motion.labels, np.full((len(found.beads), 1), 1e-9)
    mean = 1e-9 * found.reference_px
    for state, (one, share) in enumerate(zip(found.bead_fits, found.maps.share, strict=True)):
        back = np.einsum("nyx,ny->nx", rotations[state][labels], one.places_px - shifts[state][labels])
        counted = (share * one.occupancy)[:, None]
        mean, total = mean + counted * back, total + counted
    return mean / total


def _cut(given_ang: np.ndarray, shape_ang: np.ndarray, chains: np.ndarray) -> np.ndarray | None:
    """(n,) bool, the smaller of two pieces of places (n, 3) that lie differently to each other in two shapes; None if
    there are none."""
    if len(given_ang) < 2 * SMALLEST:
        return None
    both, there = np.stack([given_ang, shape_ang]), np.ones((2, len(given_ang)))
    tried = candidate_parts(given_ang, both, there, np.full(2, 0.5), chains, 2)
    if len(tried) < 2 or np.bincount(tried[1]).min() < SMALLEST:
        return None
    second = tried[1] == 1
    first_turn, first_shift = best_fit(given_ang[~second], shape_ang[~second])
    turn, shift = best_fit(given_ang[second], shape_ang[second])
    apart = apart_px(given_ang[second], (first_turn.T @ turn)[None], (first_turn.T @ (shift - first_shift))[None])
    return second if apart[0] >= CUT_ANG else None


def apart_px(places_px: np.ndarray, rotations: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """(m,) root mean square distance of places (n, 3) from themselves under rotations (m, 3, 3) and shifts (m, 3)."""
    centre = places_px.mean(axis=0)
    away = places_px - centre
    turned = rotations - np.eye(3)
    off = turned @ centre + shifts
    spread = away.T @ away / len(away)
    return np.sqrt(np.square(off).sum(axis=1) + np.einsum("mxy,yz,mxz->m", turned, spread, turned))


def step_px(places_px: np.ndarray, rotations: np.ndarray, shifts: np.ndarray) -> float:
    """Median over m maps of how far the places (n, 3) of a domain are from those in the map where they are nearest."""
    if len(rotations) < 2:
        return 0.0
    placed = np.einsum("mxy,ny->mnx", rotations, places_px) + shifts[:, None]
    apart = np.sqrt(np.square(placed[:, None] - placed).sum(axis=3).mean(axis=2))
    np.fill_diagonal(apart, np.inf)
    return float(np.median(apart.min(axis=1)))


def as_given(fitter: PartFitter, poses: PartPoses, domain: int) -> PartPoses:
    """Poses with a domain where the model has it: it goes with the first."""
    turns, moves = poses.turns.copy(), poses.moves_px.copy()
    away = fitter.centres_px[domain] - fitter.centres_px[0]
    turns[domain] = poses.turns[0]
    moves[domain] = Rotation.from_rotvec(poses.turns[0]).apply(away) - away + poses.moves_px[0]
    return PartPoses(turns, moves, poses.occupancy, poses.covariance)


def _laid(found: ModelInRun, labels: np.ndarray) -> Domains:
    """Domains laid into the maps of the run."""
    of_parts, places = found.fitter, found.reference_px
    followed = np.stack([one.places_px for one in found.bead_fits])
    occupancy = np.stack([one.occupancy for one in found.bead_fits])
    fitter = PartFitter(places, found.beads.electrons, labels, found.scale, of_parts.noise, found.pixel_size_ang)
    starts = part_starts(fitter, places, followed, occupancy)
    poses = [fitter.fit(volume, start) for volume, start in zip(found.maps.volumes, starts, strict=True)]
    motion = PartMotion.of(labels, fitter.centres_px, poses, found.maps.points, found.maps.share)
    return Domains(labels, poses, motion)
