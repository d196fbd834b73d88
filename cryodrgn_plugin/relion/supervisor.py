"""A small parent process that outlives whatever happens to the work it started.

RELION notices only marker files, so somebody must still be there to write FAILURE when the engine is killed, runs out
of memory or cannot even start. The supervisor imports nothing heavy, runs each stage of the job as a child process,
looks for RELION's abort request and for signals, and gives the child time to write a checkpoint before it is killed.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

STOPPED_BY_SIGNAL = 3
USER_ERROR = 2
_LINES_KEPT = 40
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Stage:
    """One child process of a job."""

    title: str
    """What it does, for the log: 'Training'."""
    command: list[str]


@dataclass(frozen=True)
class Outcome:
    """How a stage, or the whole job, ended."""

    kind: str
    """finished, failed or stopped (on request; the job can be continued)."""
    sentence: str = ""
    already_said: bool = False
    """Whether the sentence is the child's own and stands on stderr."""


class Supervisor:
    """Runs stages one after the other until one does not finish.

    Parameters
    ----------
    abort_requested : tells whether RELION asks the job to stop; called about `1 / poll_seconds` times a second.
    environment : variables added to the children's environment.
    grace_seconds : time between asking a child to stop and killing it, for its checkpoint.
    """

    def __init__(
        self,
        abort_requested: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
        poll_seconds: float = 0.5,
        grace_seconds: float = 300.0,
    ) -> None:
        self._abort_requested = abort_requested
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})}
        self._poll_seconds = poll_seconds
        self._grace_seconds = grace_seconds
        self._signal_received = False

    def run(self, stages: list[Stage]) -> Outcome:
        """Run all stages; the first that fails or is stopped decides the outcome."""
        with self._signals_remembered():
            for stage in stages:
                if self._told_to_stop():
                    return Outcome("stopped", f"Stopped before: {stage.title.lower()}.")
                tell(f"--- {stage.title}\n")
                outcome = self._run_stage(stage)
                if outcome.kind != "finished":
                    return outcome
        return Outcome("finished")

    def _run_stage(self, stage: Stage) -> Outcome:
        try:
            child = subprocess.Popen(
                stage.command,
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=self._environment,
                start_new_session=True,
                preexec_fn=_stop_with_parent,  # noqa: PLW1509 - one call to prctl, and no thread has begun yet
            )
        except OSError as error:
            return Outcome("failed", f"{stage.title} could not start: {error.strerror}: {stage.command[0]}.")
        errors: deque[str] = deque(maxlen=_LINES_KEPT)
        copier = threading.Thread(target=_copy_lines, args=(child.stderr, errors), daemon=True)
        copier.start()
        asked_to_stop = self._wait(child)
        _kill_group(child.pid)
        copier.join(timeout=5)
        return _judge(stage, child.returncode, asked_to_stop, list(errors))

    def _wait(self, child: subprocess.Popen) -> bool:
        """Wait for the child's end; True when it had been asked to stop. A child that does not obey is killed."""
        deadline = None
        while True:
            try:
                child.wait(timeout=self._poll_seconds)
                return deadline is not None
            except subprocess.TimeoutExpired:
                pass
            if deadline is None and self._told_to_stop():
                tell("Asked to stop; waiting for the checkpoint.\n")
                child.terminate()
                deadline = time.monotonic() + self._grace_seconds
            if deadline is not None and time.monotonic() > deadline:
                _kill_group(child.pid)

    def _told_to_stop(self) -> bool:
        return self._signal_received or self._abort_requested()

    @contextmanager
    def _signals_remembered(self):
        """A SIGTERM or SIGINT (a queue's time limit, Ctrl-C) is a request to stop, as RELION's abort is."""

        def remember(_number: int, _frame: object) -> None:
            self._signal_received = True

        before = {number: signal.signal(number, remember) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _judge(stage: Stage, code: int, asked_to_stop: bool, errors: list[str]) -> Outcome:
    """The outcome of a child by its exit code (negative: killed by that signal) and its last words."""
    if code == 0:
        return Outcome("finished")
    if asked_to_stop or code == STOPPED_BY_SIGNAL:
        return Outcome("stopped", f"{stage.title} was stopped; Continue takes it up again.")
    if code < 0:
        name = signal.Signals(-code).name
        memory = " (the usual cause is too little memory)" if name == "SIGKILL" else ""
        sentence = f"{stage.title} was killed by {name}{memory}; Continue takes it up again."
        return Outcome("failed", sentence)
    words = [line.strip() for line in errors if line.strip()]
    if not words:
        return Outcome("failed", f"{stage.title} ended with exit code {code}; see run.out and run.err.")
    if code == USER_ERROR:
        return Outcome("failed", words[-1].removeprefix("cryodrgn-plugin: "), already_said=True)
    return Outcome("failed", f"{stage.title} failed: {words[-1]} (a fault of the program; the details are in run.err)")


def tell(text: str, stream: str = "stdout") -> None:
    """Write to stdout or stderr, RELION's run.out and run.err; a job whose output nobody reads any more goes on."""
    try:
        getattr(sys, stream).write(text)
        getattr(sys, stream).flush()
    except BrokenPipeError:
        setattr(sys, stream, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - as long as the process


def _copy_lines(source, kept: deque[str]) -> None:
    """Pass the child's messages on to our own stderr (RELION's run.err) and keep the last ones."""
    with source:
        for line in iter(source.readline, b""):
            text = line.decode(errors="replace")
            kept.append(text)
            tell(text, "stderr")


def _kill_group(group: int) -> None:
    """Kill what is left of the child's process group, so that no worker outlives the job."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _stop_with_parent() -> None:
    """In the child, on Linux: ask for SIGTERM when the supervisor itself is killed, so that no orphan keeps a GPU."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
