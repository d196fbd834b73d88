"""Files that are either the old one or the new one, never half of one.

Everything a run leaves behind is written to a temporary file beside its place, flushed to disk and renamed, so a killed
process or a full disk cannot leave a broken file under a valid name. What a killed process leaves beside it is removed
when the file is written the next time.
"""

import glob
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TEMPORARY = re.compile(r"\..*?(?:\.(\d+))?\.part(?:\..*)?")
"""A file with the number of its process, or a folder, of which there is one at a time."""


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary path beside `path`, with its ending; renamed to `path` when the block ends without an error.

    The block must write and close the file. The temporary file is removed on any error, which passes through.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for other in path.parent.glob(f".{glob.escape(path.stem)}.*.part{glob.escape(path.suffix)}"):
        if is_leftover(other.name):
            other.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        _flush_to_disk(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def is_leftover(name: str, mine: bool = False) -> bool:
    """Whether a temporary file or folder of this name belongs to no process that is at work on this machine; `mine`:
    this process has begun nothing yet, so that what has its number is an earlier one's."""
    match = _TEMPORARY.fullmatch(name)
    if match is None:
        return False
    process = int(match[1]) if match[1] else None
    if process == os.getpid():
        return mine
    return process is None or not _runs(process)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
