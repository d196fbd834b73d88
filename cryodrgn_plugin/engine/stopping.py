"""Stopping on a signal or on request: at once where nothing is lost, after a checkpoint where something would be.

The command line installs `stop_on_signals`. A signal then raises `Stopped` wherever the program is, except inside
`graceful_stop`, which long loops put around themselves: there the signal is only noted, the loop looks at it
between batches, writes its checkpoint and raises `Stopped` itself. A second signal always stops at once.

Who cannot send a signal, such as a window of a host on another machine, leaves a file instead (`ask_to_stop`), which
the loop finds as it looks. Such a request may also be to keep: the training then ends at a checkpoint with
`EndedEarly`, and what it has found so far is left as if it had ended there.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .io.writing import write_text

SIGNALS = (signal.SIGTERM, signal.SIGINT)
STOP, KEEP = "stop", "keep"
"""What a request may say."""
LOOK_EVERY_S = 0.5
"""Between two looks for the file of a request, which may lie on a slow disk."""


class Stopped(BaseException):
    """The run was told to stop; it can be resumed. Not an Exception, so that no error handler swallows it."""


class EndedEarly(Stopped):
    """The run was told to stop and to keep what it has; it can be resumed."""


def ask_to_stop(file: Path, keep: bool) -> None:
    """Leave a request where a training looks for it. Raises DataError where it cannot be written."""
    write_text(file, (KEEP if keep else STOP) + "\n")


class StopRequest:
    """Whether a signal has come since the enclosing `graceful_stop` began, or a request lies in `file`."""

    def __init__(self, file: Path | None = None) -> None:
        self.signalled = False
        self._file, self._said, self._looked = file, "", float("-inf")

    @property
    def wish(self) -> str:
        """STOP, KEEP, or nothing."""
        if self._file is not None and time.monotonic() - self._looked >= LOOK_EVERY_S:
            self._looked = time.monotonic()
            self._said = _request_in(self._file)
        return STOP if self.signalled else self._said

    @property
    def requested(self) -> bool:
        """Whether to stop as soon as a checkpoint can be written."""
        return self.wish == STOP

    def raise_if_requested(
        self,
        message: str = "The run was told to stop; resume it to go on.",
        *,
        may_keep: bool = True,
        agreed: Callable[[str], str] = str,
    ) -> None:
        """Raise `Stopped`, or `EndedEarly` where what there is shall be kept; call it where the state on disk is
        complete.

        Parameters
        ----------
        may_keep : False where nothing can be kept yet, so that a request to keep waits.
        agreed : the wish of all processes at work from that of this one.
        """
        wish = agreed(self.wish)
        if wish == KEEP and may_keep:
            raise EndedEarly(message)
        if wish == STOP:
            raise Stopped(message)


def wish_of_any(any_of: Callable[[bool], bool]) -> Callable[[str], str]:
    """What several processes agree on; `any_of` tells whether something is true in any of them."""

    def agreed(wish: str) -> str:
        stops, keeps = any_of(wish == STOP), any_of(wish == KEEP)
        return STOP if stops else KEEP if keeps else ""

    return agreed


_graceful: list[StopRequest] = []


@contextmanager
def graceful_stop(file: Path | None = None) -> Iterator[StopRequest]:
    """Hold signals back: the block looks at the request, saves what it needs and raises `Stopped`. Requests may also
    lie in `file`."""
    request = StopRequest(file)
    _graceful.append(request)
    try:
        yield request
    finally:
        _graceful.remove(request)


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGINT into `Stopped` while the block runs. Does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _handle) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _handle(number: int, _frame) -> None:
    waiting = [request for request in _graceful if not request.signalled]
    if not waiting:
        raise Stopped(f"The run was stopped by {signal.Signals(number).name}.")
    for request in waiting:
        request.signalled = True


def _request_in(file: Path) -> str:
    try:
        said = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return said if said in (STOP, KEEP) else ""
