"""Poses that a network proposed, judged and improved by a score: the search begins where the network points.

A network reads a pose off an image in one step, to within its own accuracy. Here its proposals for each image, one or
more, are compared, and the best are moved by small turns and shifts on grids that are halved at each level, while the
frequency limit rises; the levels are those of the hierarchical search (`hierarchical.SearchLevels`). Without levels the
proposals are only put in order.
"""

import numpy as np
from scipy.spatial.transform import Rotation

from ..config import PoseConfig
from ..data.batch import Pose
from .hierarchical import SearchLevels, square
from .inference import Candidates, PoseInference, Score

STEPS = 3
"""Turns about each axis and shifts along each axis that are tried around a pose: one step back, none, one ahead."""
IMAGES_AT_ONCE = 256


class ProposedPoses(PoseInference):
    """A search around proposals for the images behind one score.

    Parameters
    ----------
    proposals : P poses for each of the B images; `at` takes those of some images.
    config : `levels` grids from a step of `spacing_deg` on, each half of the one before; `kept` poses go on from each.
    box, pixel_size_ang : of the images; the first step of shifts is a pixel at the first level, halved with the turns.
    """

    def __init__(self, proposals: Pose, config: PoseConfig, box: int, pixel_size_ang: float):
        self._proposals, self._config = proposals, config
        self._box, self._pixel_size_ang = box, pixel_size_ang
        self._radii = SearchLevels.of(config, box).radii

    def at(self, places: np.ndarray) -> "ProposedPoses":
        """The same search for the images at `places`."""
        chosen = Pose(self._proposals.rotations[places], self._proposals.shifts_ang[places])
        return ProposedPoses(chosen, self._config, self._box, self._pixel_size_ang)

    def infer(self, score: Score) -> Candidates:
        rotations, shifts = self._proposals.rotations, self._proposals.shifts_ang
        found = _scored(score, rotations, shifts[:, :, None], self._radii[0], self._config.kept)
        for depth, radius in enumerate(self._radii[1:]):
            step_deg = self._config.spacing_deg / 2**depth
            tried = _turns(step_deg) @ found.rotations[:, :, None]
            tried = tried.reshape(len(tried), -1, 3, 3).astype(np.float32)
            around = found.shifts_ang.repeat(STEPS**3, axis=1)[:, :, None]
            moved = around + square(self._pixel_size_ang / 2**depth, STEPS)
            found = _scored(score, tried, moved.astype(np.float32), radius, self._config.kept)
        return found

    def images_at_once(self) -> int:
        return IMAGES_AT_ONCE


def _scored(score: Score, rotations: np.ndarray, shifts_ang: np.ndarray, radius: float, kept: int) -> Candidates:
    """The `kept` best of rotations (B, P, 3, 3), each with the best of its shifts (B, P, T, 2)."""
    values = score.own(rotations, shifts_ang, radius)
    best = values.argmax(2)[:, :, None]
    shifts = np.take_along_axis(shifts_ang, best[..., None], 2)[:, :, 0]
    ranked = Candidates(rotations, shifts, np.take_along_axis(values, best, 2)[:, :, 0]).sorted()
    return Candidates(ranked.rotations[:, :kept], ranked.shifts_ang[:, :kept], ranked.score[:, :kept])


def _turns(step_deg: float) -> np.ndarray:
    """(27, 3, 3) small turns about the view's axes, by −1, 0 and 1 step about each."""
    steps = np.radians(step_deg) * (np.arange(STEPS) - STEPS // 2)
    vectors = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    return Rotation.from_rotvec(vectors).as_matrix().astype(np.float32)
