"""Poses that a network proposed, judged and improved by a score: the search begins where the network points.

A network reads a pose off an image in one step, to within its own accuracy. Here its proposals for each image, one or
more, are compared, and the best are moved by small turns and shifts on grids that are halved at each level, while the
frequency limit rises; the levels are those of the hierarchical search (`hierarchical.SearchLevels`). Without levels the
proposals are only put in order.
"""

import numpy as np
import torch
from torch import Tensor

from ..config import PoseConfig
from ..data.batch import Pose
from ..geometry.continuous import turns
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

    def at(self, images: np.ndarray) -> "ProposedPoses":
        """The same search for some of the images, by number."""
        chosen = Pose(self._proposals.rotations[images], self._proposals.shifts_ang[images])
        return ProposedPoses(chosen, self._config, self._box, self._pixel_size_ang)

    def infer(self, score: Score) -> Candidates:
        proposals = self._proposals.rotations, self._proposals.shifts_ang
        rotations, shifts = (torch.as_tensor(values, dtype=torch.float32, device=score.device) for values in proposals)
        best = _scored(score, rotations, shifts[:, :, None], self._radii[0], self._config.kept)
        for depth, radius in enumerate(self._radii[1:]):
            around_each = _small_turns(self._config.spacing_deg / 2**depth).to(rotations)
            tried = (around_each @ best.rotations[:, :, None]).flatten(1, 2)
            around = best.shifts_ang.repeat_interleave(STEPS**3, dim=1)[:, :, None]
            moved = around + torch.from_numpy(square(self._pixel_size_ang / 2**depth, STEPS)).to(shifts)
            best = _scored(score, tried, moved, radius, self._config.kept)
        return best

    def images_at_once(self) -> int:
        return IMAGES_AT_ONCE


def _scored(score: Score, rotations: Tensor, shifts_ang: Tensor, radius: float, kept: int) -> Candidates:
    """The `kept` best of rotations (B, P, 3, 3), each with the best of its shifts (B, P, T, 2)."""
    values, best = score.own(rotations, shifts_ang, radius).max(2)
    shifts = shifts_ang.take_along_dim(best[:, :, None, None], 2)[:, :, 0]
    return Candidates(rotations, shifts, values).sorted().leading(kept)


def _small_turns(step_deg: float) -> Tensor:
    """(27, 3, 3) small turns about the view's axes, by −1, 0 and 1 step about each."""
    steps = np.radians(step_deg) * (torch.arange(STEPS, dtype=torch.float64) - STEPS // 2)
    return turns(torch.cartesian_prod(steps, steps, steps))
