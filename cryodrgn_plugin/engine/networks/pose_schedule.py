"""What becomes of poses in each epoch of a network's training: drawn, searched, refined or left (`poses.schedule`).

A schedule such as "search:30, reset, fixed:30, search:30" is cryoDRGN2's with reset and renewed search
(Zhong's thesis, 5.3.3): poses are searched every few epochs and kept in between; then the network, which can no
longer learn frequencies that it has learnt to be empty, begins anew on the poses found.
"""

import math
from dataclasses import dataclass

from ..config import PoseConfig
from ..errors import ConfigError

TIMED = ("search", "fixed", "refine")
RESET = "reset"
MARCH_SHARE = 2 / 3
"""Share of the searches of the first stage over which the last frequency limit grows to its full value."""


@dataclass(frozen=True)
class Stage:
    """`epochs` epochs of one kind, on a network that begins anew where `reset`."""

    kind: str
    epochs: int
    reset: bool


@dataclass(frozen=True)
class EpochPlan:
    """What becomes of poses in an epoch."""

    poses: str
    """draw, search, refine or keep."""
    reset: bool = False
    """The network begins anew."""
    march: float = 1.0
    """How far the last frequency limit of a search has come from the first one, 0 to 1."""


@dataclass(frozen=True)
class PoseSchedule:
    """Stages of a training, and how many epochs lie between two searches."""

    stages: tuple[Stage, ...]
    every: int

    @classmethod
    def of(cls, config: PoseConfig) -> "PoseSchedule":
        """Read `config.schedule`. Raises ConfigError for what is no schedule, naming the part at fault."""
        stages: list[Stage] = []
        reset = False
        for part in config.schedule.split(","):
            kind, _, epochs = part.strip().partition(":")
            if kind == RESET and not epochs and stages and not reset:
                reset = True
            elif kind in TIMED and epochs.isdecimal() and len(epochs) < 10 and int(epochs) > 0:
                stages.append(Stage(kind, int(epochs), reset))
                reset = False
            else:
                raise ConfigError(
                    f"poses.schedule is {config.schedule!r}, and {part.strip()!r} has no place in it: give stages as "
                    "kind:epochs with the kinds search, fixed and refine, and reset between two stages, such as "
                    "'search:30, reset, fixed:30'."
                )
        if reset or not stages or stages[0].kind != "search":
            raise ConfigError(
                f"poses.schedule is {config.schedule!r}; it must begin with a search and end with a stage that has "
                "epochs, such as 'search:30, reset, fixed:30'."
            )
        return cls(tuple(stages), config.search_every)

    @property
    def epochs(self) -> int:
        return sum(stage.epochs for stage in self.stages)

    def plan(self, epoch: int) -> EpochPlan:
        """What happens before `epoch`, counted from 0."""
        number, begins = 0, 0
        while epoch >= begins + self.stages[number].epochs:
            begins += self.stages[number].epochs
            number += 1
        stage, since = self.stages[number], epoch - begins
        reset = stage.reset and since == 0
        if epoch == 0:
            return EpochPlan("draw")
        # A network that knows nothing yet, or nothing any more, learns for an epoch before it is asked for poses.
        learns_first = number == 0 or stage.reset
        due = since >= learns_first and (since - learns_first) % self.every == 0
        if stage.kind == "fixed" or not due:
            return EpochPlan("keep", reset)
        return EpochPlan(stage.kind, reset, self._march(since) if number == 0 else 1.0)

    def _march(self, since: int) -> float:
        """Share of the way of the search before epoch `since` of the first stage."""
        done = (since - 1) // self.every
        searches = math.ceil((self.stages[0].epochs - 1) / self.every)
        full = math.ceil(MARCH_SHARE * searches)
        return min(1.0, (done + 1) / full)
