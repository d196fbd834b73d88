"""The progress bar of a terminal. Pipes and log files get `PlainReporter`'s lines instead."""

import sys
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

    def step(self, stage: str, done: int, total: int, values: dict[str, float]) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total, completed=done - 1, figures="")
        self._bars.update(self._tasks[stage], completed=done, total=total, figures="  ".join(figures(values)))


def _bars():
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description:>12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
    )
