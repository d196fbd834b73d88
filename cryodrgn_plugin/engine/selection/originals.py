"""Which row of another particle file shows the same particle: the way from a binned set back to the unbinned one."""

from collections.abc import Callable
from pathlib import PurePath

import numpy as np
import pandas as pd

from ..errors import DataError
from ..io.particles import ParticleTable


def rows_in(original: ParticleTable, table: ParticleTable, same_order: bool = False) -> tuple[np.ndarray, str]:
    """The row of `original` that each particle of `table` is, and by what it was found.

    Particles are known, in this order, by their cryoSPARC uid, by micrograph and coordinates, by image name, or by the
    number of the image and the name of the stack without its folder: the first that tells all of them apart.

    Parameters
    ----------
    same_order : take row for row, when nothing else says which is which.

    Returns
    -------
    (N,) int64, and a few words.

    Raises
    ------
    DataError : none of these finds every particle.
    """
    best = 0
    for words, key in _KEYS.items():
        listed, asked = key(original), key(table)
        if listed is None or asked is None or listed.has_duplicates or asked.has_duplicates:
            continue
        rows = listed.get_indexer(asked)
        if (rows >= 0).all():
            return rows.astype(np.int64), words
        best = max(best, int((rows >= 0).sum()))
    if same_order and original.n == table.n:
        return np.arange(table.n), "the order of the rows"
    if original.n == table.n:
        advice = "if both list the same particles in the same order, say so with same_order."
    else:
        advice = f"it lists {original.n:,} particles and {table.path} {table.n:,}; is it the file they come from?"
    raise DataError(
        f"{original.path}: {best:,} of the {table.n:,} particles of {table.path} are found in it, by {_spoken()}; "
        f"{advice}"
    )


def _by_uid(table: ParticleTable) -> pd.Index | None:
    return pd.Index(table.frame["cryosparcUid"]) if "cryosparcUid" in table.frame else None


def _by_place(table: ParticleTable) -> pd.Index | None:
    if not {"rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY"} <= set(table.frame):
        return None
    x, y = (np.round(table.numbers(f"rlnCoordinate{axis}"), 1) for axis in "XY")
    micrographs = [PurePath(str(name)).name for name in table.frame["rlnMicrographName"]]
    return pd.MultiIndex.from_arrays([micrographs, x, y])


def _by_image(table: ParticleTable) -> pd.Index | None:
    return pd.Index([_numbered(name, keep_folder=True) for name in table.image_names])


def _by_number_and_stack(table: ParticleTable) -> pd.Index | None:
    return pd.Index([_numbered(name, keep_folder=False) for name in table.image_names])


def _numbered(name: str, keep_folder: bool) -> str:
    """`000012@a/b.mrcs` as `12@a/b` or `12@b`: padding and ending say nothing."""
    number, at, stack = name.partition("@")
    path = PurePath(stack if at else name).with_suffix("")
    return f"{int(number) if at else 1}@{path if keep_folder else path.name}"


_KEYS: dict[str, Callable[[ParticleTable], pd.Index | None]] = {
    "cryoSPARC's uid": _by_uid,
    "micrograph and coordinates": _by_place,
    "image name": _by_image,
    "image number and stack name": _by_number_and_stack,
}


def _spoken() -> str:
    *first, last = _KEYS
    return f"{', '.join(first)} or {last}"
