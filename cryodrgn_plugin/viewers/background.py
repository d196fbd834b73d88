"""Work that a window does not wait for: done in a thread, with what it says on the way, and taken when it is there."""

import gc
import threading
import tkinter as tk
from collections.abc import Callable
from typing import Any

from ..engine.errors import EngineError

POLL_MS = 20
Tell = Callable[[str], None]
"""Takes a sentence on what is being done."""


class Background:
    """One task after another for a widget: `work(tell)` in a thread, then `done(result)` or `failed(sentence)` in the
    widget's own."""

    def __init__(self, widget: tk.Misc, say: Tell) -> None:
        self._widget, self._say = widget, say
        self._later: str | None = None
        self._closed = False

    def run(
        self, work: Callable[[Tell], Any], done: Callable[[Any], None], failed: Callable[[str], None] | None = None
    ) -> None:
        """Begin; what goes wrong beyond the engine's own errors is raised in the widget's thread."""
        # What of Tk is garbage by now must not be collected in the thread: only the window's own may end it.
        gc.freeze()
        task = _Task(work)
        task.thread.start()
        self._look(task, done, failed or self._say)

    def close(self) -> None:
        """Take no more results."""
        self._closed = True
        gc.unfreeze()
        if self._later is not None:
            self._widget.after_cancel(self._later)
            self._later = None

    def _look(self, task: "_Task", done: Callable[[Any], None], failed: Callable[[str], None]) -> None:
        self._later = None
        if task.thread.is_alive():
            if (words := task.newest_words()) is not None:
                self._say(words)
            self._later = self._widget.after(POLL_MS, self._look, task, done, failed)
        elif not self._closed:
            gc.unfreeze()
            _finish(task, done, failed)


class _Task:
    """What is done in the thread, and what came of it."""

    def __init__(self, work: Callable[[Tell], Any]) -> None:
        self._work = work
        self._words: str | None = None
        self.result: Any = None
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._live, name="explorer", daemon=True)

    def _live(self) -> None:
        try:
            self.result = self._work(self._heard)
        except Exception as error:  # noqa: BLE001 - it is raised again where somebody sees it
            self.error = error

    def _heard(self, words: str) -> None:
        self._words = words

    def newest_words(self) -> str | None:
        """What was said since it was asked last."""
        words, self._words = self._words, None
        return words


def _finish(task: _Task, done: Callable[[Any], None], failed: Callable[[str], None]) -> None:
    if isinstance(task.error, EngineError):
        failed(str(task.error))
    elif task.error is not None:
        raise task.error
    else:
        done(task.result)
