"""Writing files whose failure is explained: a full disk or a closed folder is one sentence, and nothing is lost."""

import errno
import io
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import NO_SPACE, DataError
from .atomic import atomic_path, is_leftover

if TYPE_CHECKING:
    import numpy as np

_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)
_BROUGHT_BACK = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)
"""What a folder is told that would take a place that is taken."""
_GOING = ".part"
"""Ends the name of a former folder that is being removed."""


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary path whose content replaces `path` when the block succeeds; a failure leaves `path` as it was.

    Raises DataError when the disk is full or the folder cannot be written.
    """
    with explained(path), atomic_path(path) as temporary:
        yield temporary


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write `text` (UTF-8; bytes of names that are none in hexadecimal) in place of `path`.

    Raises DataError as `replacing` does.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_array(path: str | os.PathLike, array: "np.ndarray") -> None:
    """Write an array as .npy in place of `path`. Raises DataError as `replacing` does.

    Not by `np.save` into the file itself, which does not say of a full disk that it is one. numpy is imported here and
    not at once: the command line settles threads before it is loaded.
    """
    import numpy as np

    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    with replacing(path) as temporary:
        temporary.write_bytes(content.getbuffer())


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """A new folder that takes the place of `folder` when the block succeeds; after an error the old one stays.

    Whoever looks for it by `standing` finds one of the two, whenever this process is killed. A link gives way itself,
    and what it leads to stays as it is. Raises DataError where the folder cannot be written.
    """
    fresh = folder.with_name(f".{folder.name}.part")
    with explained(folder):
        standing(folder)
        remove(fresh)
        fresh.mkdir(parents=True)
    try:
        yield fresh
        with explained(folder):
            _exchange(folder, fresh)
    finally:
        with suppress(OSError):
            remove(fresh)
    # On a network disk the old folder stays while somebody reads a file of it; the next one clears it away.
    for leftover in (*former_of(folder), *_put_aside(folder, _GOING)):
        with suppress(OSError):
            remove(leftover)


def _exchange(folder: Path, fresh: Path) -> None:
    """Put `fresh` in the place of `folder`, which gets a name of what is to be removed.

    Few file systems can do this in one step, so for a moment `folder` is only there as its former self.
    """
    former = folder.with_name(f".{folder.name}.{os.getpid()}.former")
    while True:
        try:
            if os.path.lexists(folder):
                remove(former)
                folder.rename(former)
            fresh.rename(folder)
            break
        except BaseException as error:
            if isinstance(error, OSError) and error.errno in _BROUGHT_BACK and not os.path.lexists(former):
                continue  # by somebody who looked for it in that moment
            if os.path.lexists(former) and not os.path.lexists(folder):
                former.rename(folder)
            raise
    if os.path.lexists(former):
        former.rename(f"{former}{_GOING}")


def standing(folder: Path) -> Path:
    """Where the content of a `folder` is that `replacing_folder` writes: there, unless it was killed between two steps.

    Then what was there before is brought back, or found under its other name where nothing may be written.
    """
    former = [] if os.path.lexists(folder) else former_of(folder)
    if not former:
        return folder
    with suppress(OSError):
        former[-1].rename(folder)
    return folder if os.path.lexists(folder) else former[-1]


def former_of(folder: Path) -> list[Path]:
    """What killed processes have left of `folder` beside its place, the last one last."""
    return sorted(_put_aside(folder), key=_changed)


def _put_aside(folder: Path, ending: str = "") -> Iterator[Path]:
    name = re.compile(rf"\.{re.escape(folder.name)}\.\d+\.former{re.escape(ending)}")
    return (path for path in folder.parent.glob(".*") if name.fullmatch(path.name))


def _changed(path: Path) -> int:
    """When it got its name; 0 where somebody has taken it away meanwhile."""
    try:
        return path.lstat().st_ctime_ns
    except FileNotFoundError:
        return 0


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes had begun to write anywhere below `folder`."""
    for path in folder.rglob(".*.part*"):
        if is_leftover(path.name, mine=True):
            with suppress(OSError):
                remove(path)


def remove(path: Path) -> None:
    """Remove a file, a folder with all it holds, or a link without what it leads to; nothing where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def move_into(folder: Path, source: Path, last: str) -> None:
    """Move the files in `source` into `folder`, over those of the same names; the one named `last` after all others.

    That one is taken away first: after a kill in between it is absent and does not speak of files that are others now.
    Raises DataError where the folder cannot be written.
    """
    files = sorted((path for path in source.rglob("*") if path.is_file()), key=lambda path: path.name == last)
    with explained(folder):
        remove(folder / last)
        for file in files:
            target = folder / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            file.replace(target)


@contextmanager
def explained(path: str | os.PathLike) -> Iterator[None]:
    """Turn a failure to write `path` into a DataError that says what is missing: space or permission."""
    path = Path(path)
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise DataError(
                f"{path}: there is no space to write it ({_free_mb(path):,.0f} MB free on its disk, or a quota "
                "or size limit). Free some space or choose another disk; files that were there before are untouched."
            ) from error
        if error.errno in _NOT_ALLOWED:
            raise DataError(
                f"{path}: cannot be written ({error.strerror}). Check the folder and its permissions."
            ) from error
        raise


def _free_mb(path: Path) -> float:
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    return shutil.disk_usage(folder).free / 2**20
