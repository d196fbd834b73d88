"""Stopping on a signal: at once where nothing is lost, after a checkpoint where something would be.

The command line installs `stop_on_signals`. A signal then raises `Stopped` wherever the program is, except inside
`graceful_stop`, which long loops put around themselves: there the signal only sets `requested`, the loop looks at it
between batches, writes its checkpoint and raises `Stopped` itself. A second signal always stops at once.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(BaseException):
    """The run was told to stop; it can be resumed. Not an Exception, so that no error handler swallows it."""


class StopRequest:
    """Whether a signal has come since the enclosing `graceful_stop` began."""

    requested: bool = False

    def raise_if_requested(self, message: str = "The run was told to stop; resume it to go on.") -> None:
        """Raise `Stopped` when a signal has come; call it where the state on disk is complete."""
        if self.requested:
            raise Stopped(message)


_graceful: list[StopRequest] = []


@contextmanager
def graceful_stop() -> Iterator[StopRequest]:
    """Hold signals back: the block looks at `.requested`, saves what it needs and raises `Stopped`."""
    request = StopRequest()
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
    waiting = [request for request in _graceful if not request.requested]
    if not waiting:
        raise Stopped(f"The run was stopped by {signal.Signals(number).name}.")
    for request in waiting:
        request.requested = True
