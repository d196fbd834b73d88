"""Commands of the program run in forks of this process, killed at any moment or given a disk that is nearly full.

A fork has the libraries imported already, so that a command on a small set takes seconds; nothing is computed in this
process itself, whose threads a fork would lack. It may be killed (SIGKILL) after so much processor time, or as it is
about to do the n-th thing to a file: open it for writing, rename, remove or make it.
"""

import contextlib
import importlib
import os
import pkgutil
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryodrgn_plugin import engine
from cryodrgn_plugin.engine.cli.main import main as command_line
from cryodrgn_plugin.relion.entry import main as relion_command_line

RELION = "cryodrgn-plugin-relion"
"""As first word of a command: it is one of the RELION half."""
CHANGING = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.symlink", "os.link")
"""Events, as Python's audit hooks name them, that change a folder; opening a file for writing is one more."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT

for _module in pkgutil.walk_packages(engine.__path__, f"{engine.__name__}."):
    if not _module.name.endswith("__main__"):
        importlib.import_module(_module.name)


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int | None
    """Exit code; None when it was killed."""
    cpu_s: float
    said: str
    """What it printed, errors included."""
    operations: int
    """How many things it did to files; 0 when it was killed."""


def run_forked(
    words: list[str], folder: Path, kill_after_cpu_s: float | None = None, kill_at: int | None = None
) -> Ended:
    """Run `cryodrgn-plugin WORDS` in `folder`, killed after so much processor time, or at that operation on a file.

    Words that begin with the name of the RELION half are a command of that.
    """
    log = folder.parent / "said.txt"
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _be_the_command(words, folder, log, writing, kill_at)
    os.close(writing)
    if kill_after_cpu_s is not None:
        _wait(child, kill_after_cpu_s)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    _, status, used = os.wait4(child, 0)
    with os.fdopen(reading, "rb") as pipe:
        count = pipe.read()
    code = None if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)
    return Ended(code, used.ru_utime + used.ru_stime, log.read_text(errors="replace"), int(count or 0))


def _wait(child: int, cpu_s: float) -> None:
    """Wait until the process has used so much or has ended; it stays to be waited for."""
    ticks = cpu_s * os.sysconf("SC_CLK_TCK")
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        used = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[11:13]
        if sum(map(int, used)) >= ticks:
            return
        time.sleep(0.003)


def _be_the_command(words: list[str], folder: Path, log: Path, pipe: int, kill_at: int | None) -> None:
    """Never returns."""
    code = 1
    try:
        os.chdir(folder)
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        program, words = (relion_command_line, words[1:]) if words[0] == RELION else (command_line, words)
        sys.argv = ["cryodrgn-plugin", *words]
        counted = _Counter(kill_at)
        sys.addaudithook(counted)
        try:
            code = program(words)
        except SystemExit as ended:
            code = int(ended.code or 0)
        counted.counts = False
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(pipe, str(counted.done).encode())
    except BaseException:  # noqa: BLE001 - the fork must end here, whatever happens
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


class _Counter:
    """An audit hook that counts what is done to files, and ends the process before the n-th of these."""

    def __init__(self, kill_at: int | None) -> None:
        self.kill_at = kill_at
        self.done = 0
        self.counts = True

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES
        if not self.counts or not (writes or event in CHANGING):
            return
        self.done += 1
        if self.done == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
