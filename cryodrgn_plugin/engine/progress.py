"""How a run tells the outside how far it is. A reporter is told lines and steps; it decides how to show them.

Every front but a terminal gets plain lines, one per step, with the time left; the command line swaps in a bar.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from .io.reading import read_object, understood
from .io.writing import write_text


class Reporter(Protocol):
    """What a run needs of its reporter."""

    def line(self, text: str) -> None:
        """Show one line of text."""

    def step(self, stage: str, done: int, total: int, values: dict[str, float], left_s: float | None = None) -> None:
        """`done` of `total` steps of `stage` are over; `values` are figures worth seeing, such as the loss. `left_s` is
        how many seconds the others will take, where that is known better than from those that are over."""


class PlainReporter:
    """One line per step, as `epoch 3/20  loss 0.987  12 s, 48 s left`; suits log files and pipes."""

    def __init__(self, least_interval_s: float = 1.0) -> None:
        """`least_interval_s` between two steps of a stage that are shown; its last step always is."""
        self._clock = StageClock()
        self._least_interval_s = least_interval_s
        self._shown = ("", 0.0)

    def line(self, text: str) -> None:
        print(text, file=sys.stdout, flush=True)

    def step(self, stage: str, done: int, total: int, values: dict[str, float], left_s: float | None = None) -> None:
        spent, left = self._clock.times(stage, done, total)
        left = left if left_s is None else left_s
        last_stage, last_time = self._shown
        if stage == last_stage and done < total and time.monotonic() - last_time < self._least_interval_s:
            return
        self._shown = (stage, time.monotonic())
        self.line("  ".join([f"{stage} {done}/{total}", *figures(values), f"{duration(spent)}, {duration(left)} left"]))


@dataclass(frozen=True)
class HowFar:
    """How far a stage of a training is, for who looks at it from outside."""

    stage: str
    """What is counted: epoch, step, round."""
    done: int
    total: int
    left_s: float
    """Seconds left of the stage: at its pace so far, or by what its steps cost."""
    values: dict[str, float]
    """Figures of the latest, such as the loss."""

    def write(self, file: Path) -> None:
        """Raises DataError as `write_text` does."""
        write_text(file, json.dumps(asdict(self)) + "\n")

    @classmethod
    def read(cls, file: Path) -> "HowFar | None":
        """None where it has just gone. Raises DataError for a damaged file."""
        damaged = f"{file} is damaged; it is written anew with the next epoch or step."
        try:
            with understood(damaged, missing_ok=True):
                return cls(**read_object(file, damaged))
        except FileNotFoundError:
            return None

    @property
    def sentence(self) -> str:
        """As `Epoch 3 of 20, loss 0.987, 48 s left.`"""
        words = [f"{self.stage.capitalize()} {self.done} of {self.total}", *figures(self.values)]
        return ", ".join([*words, f"about {duration(self.left_s)} left"]) + "."


class StageClock:
    """Time spent on a stage and time left at its pace. A stage begins where the one before it reported last."""

    def __init__(self) -> None:
        self._stage = ""
        self._last = time.monotonic()

    def times(self, stage: str, done: int, total: int) -> tuple[float, float]:
        """(seconds spent, seconds left) of `stage` after `done` of `total` steps."""
        if stage != self._stage:
            # A resumed stage does not start at its first step; the pace counts from where it was taken up.
            self._stage, self._began, self._before = stage, self._last, done - 1
        self._last = time.monotonic()
        spent = self._last - self._began
        return spent, spent / max(done - self._before, 1) * (total - done)


def figures(values: dict[str, float]) -> list[str]:
    """`name value` for each figure, with as many digits as mean something."""
    return [f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()]


def duration(seconds: float) -> str:
    """A duration as people write it: 8 s, 3 min 20 s, 2 h 5 min."""
    whole = max(int(round(seconds)), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
