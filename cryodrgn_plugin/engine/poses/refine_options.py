"""The settings of local refinement. Imports nothing heavy: the command line and the hosts' forms are made from them."""

from dataclasses import dataclass
from typing import Annotated

from ..config import Settings
from ..config.bounds import AtLeast, AtMost, Hint, MoreThan, OneOf

MOVES = ("image", "particle")
FOUND_BY_A_SEARCH = Hint("poses that are wrong by more are found by `cryodrgn-plugin abinitio`")


@dataclass(frozen=True, kw_only=True)
class RefineOptions(Settings):
    rounds: Annotated[int, AtLeast(1)] = 4
    """Rounds of new maps and refined poses. More when the resolution still improves."""
    max_angle_deg: Annotated[float, MoreThan(0), AtMost(45), FOUND_BY_A_SEARCH] = 8.0
    """Largest turn away from the pose given, in degrees. A little more than the poses may be wrong by."""
    max_shift_ang: Annotated[float, AtLeast(0)] = 12.0
    """Largest move away from the origin given, in Å. A little more than the origins may be wrong by."""
    steps: Annotated[int, AtLeast(1)] = 6
    """Steps of a particle at each frequency limit. The limit doubles from what the largest turn allows to the box's."""
    moves: Annotated[str, OneOf(*MOVES)] = "image"
    """Of tilt pairs and series: image moves each image by itself; particle moves the particle in space, its images with
    it, which is better where the series is well aligned and single images show little."""
