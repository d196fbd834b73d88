"""Which pose searches there are: the name that `poses.inference` takes, and how one is made from the settings."""

from collections.abc import Callable

import numpy as np

from ..config import PoseConfig
from ..config.kinds import POSE_SEARCHES, members
from .inference import PoseInference

STRATEGIES: dict[str, Callable[..., PoseInference]] = members(POSE_SEARCHES, __package__)
"""Name to maker, called as `make_pose_inference` calls it; the contract tests run over every member."""


def make_pose_inference(
    config: PoseConfig, box: int, pixel_size_ang: float, turn: np.ndarray | None = None
) -> PoseInference:
    """The search that `config.inference` names, for images of `box` pixels of `pixel_size_ang`.

    `turn` (3, 3) turns the grid of rotations, so that repeated searches do not meet the same grid points.
    """
    return STRATEGIES[config.inference](config, box, pixel_size_ang, turn=turn)
