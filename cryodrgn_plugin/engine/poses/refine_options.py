"""The settings of local refinement. Imports nothing heavy: the command line and the hosts' forms are made from them."""

from dataclasses import dataclass

from ..errors import ConfigError

MOVES = ("image", "particle")


@dataclass(frozen=True, kw_only=True)
class RefineOptions:
    rounds: int = 4
    """Rounds of new maps and refined poses. More when the resolution still improves."""
    max_angle_deg: float = 8.0
    """Largest turn away from the pose given, in degrees. A little more than the poses may be wrong by."""
    max_shift_ang: float = 12.0
    """Largest move away from the origin given, in Å. A little more than the origins may be wrong by."""
    steps: int = 6
    """Steps of a particle at each frequency limit. The limit doubles from what the largest turn allows to the box's."""
    moves: str = "image"
    """Of tilt pairs and series: image moves each image by itself; particle moves the particle in space, its images with
    it, which is better where the series is well aligned and single images show little."""

    def __post_init__(self) -> None:
        for name, least in (("rounds", 1), ("steps", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least {least}.")
        if not 0 < self.max_angle_deg <= 45:
            raise ConfigError(
                f"max_angle_deg is {self.max_angle_deg}; it must be positive and at most 45: poses that are wrong by "
                "more are found by `cryodrgn-plugin abinitio`."
            )
        if self.moves not in MOVES:
            raise ConfigError(f"moves is {self.moves!r}; choose {' or '.join(MOVES)}.")
        if self.max_shift_ang < 0:
            raise ConfigError(f"max_shift_ang is {self.max_shift_ang}; it must be 0 or more.")
