"""The progress bar of a terminal. Pipes and log files get `PlainReporter`'s lines instead."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..progress import PlainReporter, Reporter, figures
from ..run import Run


@contextmanager
def shown(run: Run) -> Iterator[None]:
    """Show the run's progress while the block runs: bars on a terminal, plain lines elsewhere."""
    with reporter() as run.reporter:
        yield
    run.reporter = PlainReporter()


@contextmanager
def reporter() -> Iterator[Reporter]:
    """What shows progress here: bars on a terminal, plain lines elsewhere."""
    if not sys.stdout.isatty():
        yield PlainReporter()
        return
    with _bars() as bars:
        yield BarReporter(bars)


class BarReporter:
    """One bar per stage, with the time spent, the time left and the latest figures; lines scroll above."""

    def __init__(self, bars) -> None:
        self._bars = bars
        self._tasks: dict[str, int] = {}

    def line(self, text: str) -> None:
        self._bars.console.print(text, markup=False, highlight=False)

    def step(self, stage: str, done: int, total: int, values: dict[str, float], left_s: float | None = None) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total, completed=done - 1, figures="", until=None)
        until = None if left_s is None else time.monotonic() + left_s
        shown = "  ".join(figures(values))
        self._bars.update(self._tasks[stage], completed=done, total=total, figures=shown, until=until)


def _bars():
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class TimeLeftColumn(TimeRemainingColumn):
        """Counts down what a stage says is left; at the pace of its steps where it says nothing."""

        def render(self, task) -> Text:
            until = task.fields.get("until")
            if until is None or task.finished:
                return super().render(task)
            seconds = max(int(until - time.monotonic()), 0)
            return Text(f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}", style="progress.remaining")

    return Progress(
        TextColumn("{task.description:>12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeLeftColumn(),
        TextColumn("{task.fields[figures]}"),
    )
