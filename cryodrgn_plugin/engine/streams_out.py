"""What is printed, where it can be: a terminal or file of few letters, or nobody at all, ends no work."""

import os
import sys


def settle() -> None:
    """Letters that standard output or error cannot show become question marks; a closed one leads nowhere."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - as long as the process
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
