"""Waiting for programs of a host: a time limit is what an idle machine may take, and a busy one is given more.

Each second that passes counts as 1/load of a second, load being the processes per core that want to run just then. It
is looked at again while the wait lasts, so that work which begins or ends in the middle counts as well.
"""

import os
import subprocess
import time
from collections.abc import Callable

POLL_SECONDS = 0.1
MOST = 50.0
"""A second counts at least as one of so many, so that every wait ends."""


def load_per_core() -> float:
    """Processes that want to run, per core: over the last minute or at this moment, whichever is more."""
    with open("/proc/loadavg", encoding="ascii") as file:
        last_minute, _, _, running, _ = file.read().split()
    return max(float(last_minute), float(running.split("/")[0])) / len(os.sched_getaffinity(0))


class Patience:
    """A limit of `seconds` on an idle machine, from now on; `is_over` is to be asked again and again."""

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        load: Callable[[], float] = load_per_core,
    ) -> None:
        self._left = seconds
        self._clock, self._load = clock, load
        self._asked = clock()

    def is_over(self) -> bool:
        now = self._clock()
        self._left -= (now - self._asked) / min(max(self._load(), 1.0), MOST)
        self._asked = now
        return self._left <= 0


def wait_for(condition: Callable[[], object], seconds: float, check: Callable[[], None] = lambda: None) -> None:
    """Return once `condition` is true; `check`, asked as often, may end the wait by an error of its own."""
    patience = Patience(seconds)
    while not condition():
        check()
        assert not patience.is_over(), f"it did not happen in what {seconds} s of an idle machine are"
        time.sleep(POLL_SECONDS)


def finish(process: subprocess.Popen, seconds: float) -> tuple:
    """What a process wrote to its pipes, once it has ended; killed and TimeoutExpired when patience is over."""
    patience = Patience(seconds)
    while True:
        try:
            return process.communicate(timeout=POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if patience.is_over():
                process.kill()
                process.communicate()
                raise


def run(words: list[str], seconds: float, **options) -> subprocess.CompletedProcess:
    """`subprocess.run` without `check`, with patience for a time-out and output captured as text unless `options` say
    where it goes.
    """
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, **pipes | options) as process:
        output = finish(process, seconds)
    return subprocess.CompletedProcess(words, process.returncode, *output)


def pump(window, seconds: float, until=lambda: False) -> None:
    """Let a window work for some seconds of an idle machine, or until something is true."""
    patience = Patience(seconds)
    while not patience.is_over() and not until():
        window.root.update()
        time.sleep(0.02)
