"""What is printed, where it can be: a terminal or file of few letters, or nobody at all, ends no work."""

import os
import sys
from typing import Any, TextIO


class WhileHeard:
    """A stream that leads nowhere from when on its reader has gone away, as `| head` does; work goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            return self._lead_nowhere(len(text))

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._lead_nowhere()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _lead_nowhere(self, written: int = 0) -> int:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
        return written


def settle() -> None:
    """Letters that standard output or error cannot show become question marks; a closed one leads nowhere, and one that
    is closed later does from then on."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - as long as the process
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
            if stream is getattr(sys, f"__{name}__"):
                setattr(sys, name, WhileHeard(stream))
