"""The engine at hand: one process that keeps a run's model loaded and makes the map of whatever was asked for last.

It is asked over its standard input and answers on its standard output (`cryodrgn-plugin serve --help`). A thread talks
to it, so that a window never waits: the window asks, goes on, and looks now and then whether there is an answer.
"""

import json
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

STARTS = 2
"""A process that dies is started once more, and not again."""


MAP, IMAGES = "map", "images"
"""Kinds of questions; a newer one takes the place of an older one of its kind."""


@dataclass(frozen=True)
class Question:
    """What is asked at z (Z,)."""

    index: int | None
    """Of the particle that lies there, if one is meant."""
    z: np.ndarray
    minus: np.ndarray | None = None
    """(Z,) of a map to take off."""
    images: int = 0
    """So many images of particles near z are wanted in place of a map, all in the view of particle `index`."""

    @property
    def kind(self) -> str:
        return IMAGES if self.images else MAP

    def line(self) -> bytes:
        """As the engine reads it."""
        content: dict[str, Any] = {"z": [float(number) for number in self.z]}
        if self.minus is not None:
            content["minus"] = [float(number) for number in self.minus]
        if self.images:
            content["images"] = self.images
            if self.index is not None:
                content["like"] = self.index
        return json.dumps(content).encode() + b"\n"


@dataclass(frozen=True)
class Answer:
    """What came of a question."""

    question: Question
    volume: np.ndarray | None
    """(D, D, D) float32, or (2 + n, D, D), the mean of n images, the projection of the map and the images; None where
    `error` says why there is none."""
    pixel_size_ang: float = 1.0
    error: str = ""
    places: tuple[int, ...] = ()
    """(n,) which particles the images are of."""
    away_deg: tuple[float, ...] = ()
    """(n,) how far their views are from the first one's."""

    @property
    def index(self) -> int | None:
        """Of the particle that was asked about."""
        return self.question.index


class _Gone(Exception):
    """The process has ended, for a reason that its message says."""

    def __init__(self, sentence: str, for_good: bool = False) -> None:
        super().__init__(sentence)
        self.for_good = for_good


class ResidentDecoder:
    """Maps at points of a run's latent space, the latest that was asked for first and older ones not at all.

    Parameters
    ----------
    command : starts the engine's `serve`.
    environment : of the process; None is this one's.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._command, self._environment = list(command), environment
        self._change = threading.Condition()
        self._waiting: dict[str, Question] = {}
        self._asked: Question | None = None
        self._answers: dict[str, Answer] = {}
        self._ready: dict[str, Any] | None = None
        self._closing = False
        self._process: subprocess.Popen[bytes] | None = None

    # ---- for the window's thread, which never waits here -------------------
    def start(self) -> None:
        """Load the model in the background."""
        threading.Thread(target=self._live, name="resident decoder", daemon=True).start()

    def ask(self, index: int | None, z: np.ndarray, minus: np.ndarray | None = None) -> None:
        """Ask for the map at z (Z,), less that at `minus`, in place of what was asked for before and has not begun."""
        self.put(Question(index, z, minus))

    def put(self, question: Question) -> None:
        """Ask, in place of a question of its kind that has not begun."""
        with self._change:
            self._waiting[question.kind] = question
            self._change.notify()

    def newest(self, kind: str = MAP) -> Answer | None:
        """The answer of a kind that came last, if it has not been taken yet."""
        with self._change:
            return self._answers.pop(kind, None)

    @property
    def is_ready(self) -> bool:
        """Whether the model is loaded, so that a map takes milliseconds."""
        return self._ready is not None

    @property
    def is_busy(self) -> bool:
        """Whether an answer is still to come or to be taken."""
        with self._change:
            return bool(self._waiting or self._asked or self._answers)

    @property
    def process_id(self) -> int | None:
        """Of the engine's process; None where there is none."""
        return self._process.pid if self._process is not None else None

    def close(self) -> None:
        """End the process, without waiting for it."""
        with self._change:
            self._closing = True
            process = self._process
            self._change.notify()
        if process is not None:
            process.terminate()

    # ---- in the thread -----------------------------------------------------
    def _live(self) -> None:
        sentence = ""
        for _ in range(STARTS):
            try:
                self._serve()
                return
            except _Gone as gone:
                sentence = str(gone)
                if gone.for_good:
                    break
        while (asked := self._next()) is not None:
            self._put(Answer(asked, None, error=sentence))

    def _serve(self) -> None:
        """One life of the process, until the window closes. Raises _Gone when the process ends before that."""
        with tempfile.TemporaryFile() as said:
            process = self._begin(said)
            try:
                self._ready = self._read_head(process)
                while (asked := self._next()) is not None:
                    self._put(self._answer_of(process, asked))
            except (OSError, ValueError, EOFError):
                self._lost()
                if not self._closing:
                    raise self._why(process, said) from None
            finally:
                self._ready = self._process = None
                _end(process)

    def _begin(self, said) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        try:
            process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, stderr=said, env=self._environment)
        except OSError as error:
            raise _Gone(f"The engine could not start: {error.strerror}: {self._command[0]}.", for_good=True) from None
        with self._change:
            self._process = process
            if self._closing:
                process.terminate()
        return process

    def _next(self) -> Question | None:
        """Wait for what is asked next, maps before images; None when the window closes."""
        with self._change:
            self._change.wait_for(lambda: self._waiting or self._closing)
            if self._closing:
                return None
            self._asked = self._waiting.pop(MAP if MAP in self._waiting else IMAGES)
            return self._asked

    def _put(self, answer: Answer) -> None:
        with self._change:
            self._asked, self._answers[answer.question.kind] = None, answer

    def _lost(self) -> None:
        """What the process did not live to answer is asked again, unless something newer is."""
        with self._change:
            if self._asked is not None:
                self._waiting.setdefault(self._asked.kind, self._asked)
            self._asked = None

    def _answer_of(self, process: subprocess.Popen[bytes], question: Question) -> Answer:
        process.stdin.write(question.line())
        process.stdin.flush()
        head = self._read_head(process)
        if "error" in head:
            return Answer(question, None, error=head["error"])
        content = process.stdout.read(head["bytes"])
        volume = np.frombuffer(content, head["type"]).reshape(head["shape"])
        about = {name: tuple(head.get(name, ())) for name in ("places", "away_deg")}
        return Answer(question, volume, self._ready["pixel_size_ang"], **about)

    @staticmethod
    def _read_head(process: subprocess.Popen[bytes]) -> dict[str, Any]:
        line = process.stdout.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        return json.loads(line)

    def _why(self, process: subprocess.Popen[bytes], said) -> _Gone:
        """What the process said last; what it said of the user's mistakes holds for the next one too."""
        _end(process)
        said.seek(0)
        lines = [line for line in said.read().decode(errors="replace").splitlines() if line.strip()]
        if self._ready is None and process.returncode > 0 and lines:
            return _Gone(lines[-1].removeprefix("cryodrgn-plugin: "), for_good=True)
        how = lines[-1] if process.returncode > 0 and lines else f"exit code {process.returncode}"
        return _Gone(f"The engine ended unexpectedly ({how}); close this window and open it again.")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let the process end, by the end of its input or else by force, and release its pipes."""
    with suppress(OSError):
        process.stdin.close()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
