"""One process at a time writes a thing of a run: locks in the run folder, which the system lifts when a process ends.

Each step (train, analysis, …) has its own lock file `.STEP.lock` with who holds it; a training may go on while an
analysis looks at it. What a killed process has left is no obstacle: the file stays, the lock does not.
"""

import contextlib
import errno
import fcntl
import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import DataError

_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EROFS, errno.EACCES, errno.EINVAL)
"""File systems without locks: nobody can be kept out there."""
_TRIES, _TRIES_IF_HELD = 20, 3
_held: dict[Path, int] = {}
"""Lock files of this process, and how often each was taken."""


class Busy(DataError):
    """Another process is at it."""


@contextmanager
def lock(folder: Path, step: str) -> Iterator[None]:
    """Keep other processes from `step` of the run in `folder`, which is made if absent; the same process may take it
    again.

    Raises DataError, which says who holds it, when another process does.
    """
    file = _lock_file(folder, step)
    if file in _held:
        _held[file] += 1
        try:
            yield
        finally:
            _held[file] -= 1
        return
    descriptor = _taken(file, folder)
    _held[file] = 1
    try:
        yield
    finally:
        del _held[file]
        with contextlib.suppress(OSError):
            file.unlink()
        if descriptor is not None:
            os.close(descriptor)


def refuse_busy(folder: Path) -> None:
    """Raises DataError when another process is at work on the run in `folder`, whatever it does."""
    for file in sorted(folder.glob(".*.lock")):
        if file.absolute() not in _held and (holder := _holder(file)) is not None:
            raise Busy(_busy(folder, holder))


def is_left(folder: Path, step: str) -> bool:
    """Whether nobody is at `step` of the run in `folder`, as far as this machine can tell: where there are no locks, or
    another machine holds or has left one, somebody may be.
    """
    file = _lock_file(folder, step)
    if file in _held:
        return False
    try:
        descriptor = os.open(file, os.O_RDWR)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return _is_of_this_machine(file)


def is_busy(folder: Path) -> bool:
    """Whether another process is at work on the run in `folder`."""
    try:
        refuse_busy(folder)
    except DataError:
        return True
    return False


def _lock_file(folder: Path, step: str) -> Path:
    return (folder / f".{step}.lock").absolute()


def _taken(file: Path, folder: Path) -> int | None:
    """Descriptor of the lock file, locked; None where there can be no locks."""
    for attempt in range(_TRIES):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:
            return None  # whoever writes there next says what is wrong with the folder
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in _NO_LOCKS and error.errno != errno.EACCES:
                return None
            if attempt < _TRIES_IF_HELD:  # perhaps only by someone who looks whether anybody holds it
                time.sleep(0.02)
                continue
            raise Busy(_busy(folder, _said(file))) from None
        if _is_still(file, descriptor):
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, _who().encode())
            return descriptor
        # Its last holder has removed it meanwhile.
        os.close(descriptor)
    raise Busy(_busy(folder, _said(file)))


def _is_still(file: Path, descriptor: int) -> bool:
    """Whether the open file is the one that has the name."""
    try:
        there, opened = os.stat(file), os.fstat(descriptor)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (opened.st_dev, opened.st_ino)


def _holder(file: Path) -> str | None:
    """Who holds a lock; None where nobody does."""
    try:
        descriptor = os.open(file, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return None if error.errno in _NO_LOCKS and error.errno != errno.EACCES else _said(file)
    finally:
        os.close(descriptor)
    return None


def _who() -> str:
    command = shlex.join(["cryodrgn-plugin", *sys.argv[1:]])
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return json.dumps({"process": os.getpid(), "host": socket.gethostname(), "since": since, "command": command})


def _is_of_this_machine(file: Path) -> bool:
    try:
        return json.loads(file.read_text(encoding="utf-8"))["host"] == socket.gethostname()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _said(file: Path) -> str:
    """What a lock file says of its holder, in words."""
    try:
        who = json.loads(file.read_text(encoding="utf-8"))
        return f"process {who['process']} on {who['host']} since {who['since']} ({who['command'][:200]})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _busy(folder: Path, holder: str) -> str:
    return f"{folder} is being written by {holder}; wait for it, stop it, or choose another folder."
