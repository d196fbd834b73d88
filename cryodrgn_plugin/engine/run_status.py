"""What became of a run and why (run.json), what was said (run.log), and how far it is.

`run.json` always tells the truth: it says "running" before the work begins, and what became of it after.
"""

import json
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from .errors import DataError, EngineError, explain
from .io.reading import read_object, understood
from .io.writing import explained, remove, write_text
from .progress import HowFar, PlainReporter, Reporter, StageClock
from .provenance import peak_memory_mb
from .run_layout import RunLayout
from .run_lock import is_left, lock
from .stopping import Stopped, ask_to_stop

TRAIN = "train"
"""The step whose status is the run's own."""
KILLED = "The process that trained was killed; the run goes on from its last checkpoint."
ENDED_EARLY = "ended_early"
"""The note of a training that was asked to end before its last epoch or step: when it did."""
ENDS_WHOLE = ("abinitio",)
"""Recipes that have latents and maps at their end only."""
PROGRESS_EVERY_S = 1.0
"""Between two notes of how far a training is."""
_KINDS = {"schema": int, "status": str, "message": str, "provenance": dict, "steps": dict, "notes": dict}
"""What run.json holds."""


class RunStatus(RunLayout):
    """The status, log and progress of a run folder."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.reporter: Reporter = PlainReporter()
        self._clock, self._noted = StageClock(), float("-inf")
        self._trains = False

    @property
    def info(self) -> dict[str, Any]:
        """run.json as it is now."""
        return read_json(self.info_file, self.path)

    @property
    def status(self) -> str:
        """created, running, finished, failed or stopped; a run whose process was killed is stopped."""
        return "stopped" if self._was_killed() else self.info["status"]

    @property
    def message(self) -> str:
        """Why the run failed or stopped; empty otherwise."""
        return KILLED if self._was_killed() else self.info["message"]

    def _was_killed(self) -> bool:
        return self.info["status"] == "running" and is_left(self.path, TRAIN)

    @property
    def how_far(self) -> HowFar | None:
        """How far a training that is going on has come; None where none is, or has not said it yet."""
        if self.status != "running" or not self.progress_file.exists():
            return None
        return HowFar.read(self.progress_file)

    @property
    def ended_early(self) -> str:
        """`after epoch 3 of 20`, where the training was asked to end then; else empty."""
        return self.info.get("notes", {}).get(ENDED_EARLY, "")

    @property
    def session(self) -> str:
        """What tells the latest session of the training from those before it."""
        training = self.info.get("steps", {}).get(TRAIN, {})
        return f"{training.get('started', '')} {training.get('sessions', 0)}"

    def ask_to_stop(self, keep: bool) -> None:
        """Ask the training that is going on to stop at once or, with `keep`, to end with its epoch or step and to leave
        what it has found by then.

        Raises DataError where none is going on, or where it has nothing to keep before its end.
        """
        if self.status != "running":
            raise DataError(f"{self.path}: no training is going on; it is {self.status}.")
        if keep and read_json(self.config_file, self.path).get("recipe") in ENDS_WHOLE:
            raise DataError(
                f"{self.path} searches for poses, and has latents and maps at its end only; let it finish, or stop it "
                "and resume it later."
            )
        ask_to_stop(self.stop_file, keep)

    @contextmanager
    def working(self, step: str = TRAIN) -> Iterator[None]:
        """Keep run.json truthful while the block runs: running, then finished, failed or stopped, with the reason.

        The status of step "train" is the run's own; other steps ("analysis") keep theirs under their name, so that a
        failed analysis does not spoil a finished run. Errors pass through; DataError where another process is at the
        same step.
        """
        with lock(self.path, step):
            self._trains = step == TRAIN
            if self._trains and self.info["status"] == "running":  # and was killed: what was asked of it is past
                remove(self.stop_file)
            try:
                yield from self._recorded(step)
            finally:
                if self._trains:
                    for file in (self.stop_file, self.progress_file):
                        remove(file)
                self._trains = False

    def _recorded(self, step: str) -> Iterator[None]:
        began = time.time()
        # A resumed training goes on with its clock; every other step starts anew.
        before = self.info.get("steps", {}).get(step, {}) if step == TRAIN else {}
        started = {"started": before.get("started", _timestamp(began)), "sessions": before.get("sessions", 0) + 1}
        self._record(step, "running", "", started)
        status, message = "failed", ""
        try:
            yield
            status = "finished"
        except Stopped as stop:
            status, message = "stopped", str(stop)
            raise
        except BaseException as error:
            message = explain(error)
            if not isinstance(error, EngineError):
                with suppress(DataError, OSError):
                    self._append_to_log(traceback.format_exc())
            raise
        finally:
            seconds = before.get("seconds", 0.0) + time.time() - began
            figures = {"seconds": round(seconds, 1), "peak_memory_mb": peak_memory_mb()}
            # On a full disk there may be no room for the status either; the error that says so matters more.
            with nullcontext() if status == "finished" else suppress(DataError, OSError):
                self._record(step, status, message, figures)

    def note(self, **values: Any) -> None:
        """Add figures worth keeping (JSON values) to run.json under "notes"."""
        info = self.info
        self._write_info({**info, "notes": {**info.get("notes", {}), **values}})

    def _record(self, step: str, status: str, message: str, figures: Mapping[str, Any]) -> None:
        info = self.info
        state = {"status": status, "message": message}
        if step == TRAIN:
            info.update(state)
        info.setdefault("steps", {}).setdefault(step, {}).update({**state, **figures})
        self._write_info(info)

    def _write_info(self, info: Mapping[str, Any]) -> None:
        text = json.dumps(info, indent=2) + "\n"
        try:
            write_text(self.info_file, text)
        except DataError:
            if info.get("status") not in ("failed", "stopped") or not self.info_file.exists():
                raise
            # No room for a second file: what became of the run takes the place of what was said before.
            with open(self.info_file, "r+", encoding="utf-8") as file:
                file.write(text)
                file.truncate()

    def log(self, line: str) -> None:
        """Write a line to run.log and show it."""
        self._append_to_log(f"{_timestamp(time.time())}  {line}\n")
        self.reporter.line(line)

    def progress(self, stage: str, done: int, total: int, left_s: float | None = None, **values: float) -> None:
        """Show that `done` of `total` steps of `stage` are over, with figures such as loss=0.98; `left_s` is how many
        seconds the others will take, where steps differ in what they cost."""
        self.reporter.step(stage, done, total, values, left_s)
        by_pace_s = self._clock.times(stage, done, total)[1]
        left_s = by_pace_s if left_s is None else left_s
        if self._trains and time.monotonic() - self._noted >= PROGRESS_EVERY_S:
            self._noted = time.monotonic()
            HowFar(stage, done, total, left_s, values).write(self.progress_file)

    def _append_to_log(self, text: str) -> None:
        with explained(self.log_file), open(self.log_file, "a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(text)


def read_json(file: Path, folder: Path) -> dict[str, Any]:
    """A JSON object of the run folder `folder`. Raises DataError when it is absent or something else."""
    if not folder.is_dir():
        raise DataError(f"There is no run folder {folder}.")
    try:
        damaged = f"{folder} is not a run folder: its {file.name} cannot be read."
        with understood(damaged, missing_ok=True):
            return _of_known_kinds(read_object(file, damaged))
    except FileNotFoundError:
        raise DataError(f"{folder} is not a run folder: it has no {file.name}.") from None


def _of_known_kinds(info: dict[str, Any]) -> dict[str, Any]:
    """The content of run.json. Raises ValueError for a value of another kind."""
    for name, kind in _KINDS.items():
        if not isinstance(info.get(name, kind()), kind):
            raise ValueError(f"its {name} is {info[name]!r}")
    for name, state in info.get("steps", {}).items():
        if not isinstance(state, dict) or not isinstance(state.get("status", ""), str):
            raise ValueError(f"its step {name!r} has no status")
    return info


def _timestamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(seconds))
