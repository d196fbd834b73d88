"""Species that are hard to place: random starts among their images do not agree, and so many more are made.

Two starts that have found a molecule place its images alike, but for the frame and hand that each is free to choose.
Of a small molecule in noisy images few starts find it, and nothing but that others found the same, or that none
explains the images better, tells which.
"""

import numpy as np

from ..geometry.pose_errors import align_poses
from .placement import Placement

ALIKE_DEG = 20.0
"""Starts agree where they place half of the images nearer than that: maps are coarse by then."""
FEWEST_TOLD = 20
"""Fewer images tell nothing."""


def placed_alike(one: Placement, other: Placement, species: int) -> bool:
    """Whether two starts agree about the poses of the images of a species, as far as both have placed them."""
    own = np.flatnonzero(other.species == species)
    # Poses that are equal to the last bit are older than both starts.
    rows = own[(one.rotations[own] != other.rotations[own]).any((1, 2))]
    if len(rows) < FEWEST_TOLD:
        return True
    poses = one.rotations[rows], other.rotations[rows], one.shifts_ang[rows], other.shifts_ang[rows]
    return float(np.median(align_poses(*poses).angle_deg)) < ALIKE_DEG


def with_poses_of(best: Placement, start: Placement, better: np.ndarray) -> Placement:
    """Where the best start of each species has placed its images, a `start` being `better` (S,) for some of them."""
    placed = best.copied()
    own = np.append(better, False)[start.species]
    placed.rotations[own], placed.shifts_ang[own] = start.rotations[own], start.shifts_ang[own]
    return placed
