"""Writing files whose failure is explained: a full disk or a closed folder is one sentence, and nothing is lost."""

import errno
import glob
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from ..errors import NO_SPACE, DataError
from .atomic import atomic_path, is_leftover

_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)


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


def write_array(path: str | os.PathLike, array: np.ndarray) -> None:
    """Write an array as .npy in place of `path`. Raises DataError as `replacing` does.

    Not by `np.save` into the file itself, which does not say of a full disk that it is one.
    """
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    with replacing(path) as temporary:
        temporary.write_bytes(content.getbuffer())


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """A new folder that takes the place of `folder` when the block succeeds; after an error the old one stays.

    A link gives way itself, and what it leads to stays as it is. Raises DataError where the folder cannot be written.
    """
    fresh = folder.with_name(f".{folder.name}.part")
    former = folder.with_name(f".{folder.name}.{os.getpid()}.former")
    with explained(folder):
        remove(fresh)
        fresh.mkdir(parents=True)
    try:
        yield fresh
        with explained(folder):
            _exchange(folder, fresh, former)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    # On a network disk a former folder stays while somebody reads a file of it; the next one clears it away.
    for leftover in folder.parent.glob(f".{glob.escape(folder.name)}.*.former"):
        with suppress(OSError):
            remove(leftover)


def _exchange(folder: Path, fresh: Path, former: Path) -> None:
    """Put `fresh` in the place of `folder`, which becomes `former`; whatever interrupts this, one of them is there."""
    try:
        if os.path.lexists(folder):
            folder.rename(former)
        fresh.rename(folder)
    except BaseException:
        if os.path.lexists(former) and not os.path.lexists(folder):
            former.rename(folder)
        raise


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

    Raises DataError where the folder cannot be written.
    """
    files = sorted((path for path in source.rglob("*") if path.is_file()), key=lambda path: path.name == last)
    with explained(folder):
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
