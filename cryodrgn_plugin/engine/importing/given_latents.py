"""Latent coordinates that other programs have found: tables of numbers, cryoDRGN's z.pkl, components of cryoSPARC."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import DataError
from ..io.arrays import arrays_of, read_npy_file
from ..io.cryodrgn import read_latents
from ..io.cs import read_records
from ..io.particles import ParticleTable
from ..io.reading import WHY, understood
from ..io.tables import CRYOSPARC

_COMPONENT = re.compile(r"components_mode_(\d+)/value")
_ADVICE = "Give a row of numbers for each particle."
MOST_Z = 1024


@dataclass(frozen=True)
class GivenLatents:
    """z (N, Z) float32; `rows` (N,) of the particle file, and `uid` (N,) of cryoSPARC, where the file says them."""

    z: np.ndarray
    rows: np.ndarray | None = None
    uid: np.ndarray | None = None

    def rows_in(self, table: ParticleTable, indices: np.ndarray | None, source: str) -> np.ndarray:
        """(N,) the row of `table` that each latent belongs to: by uid, as the file says, by the `indices` (N,) that
        somebody gives, or one after the other.

        Raises DataError where these are not as many, or no rows of the table.
        """
        if indices is None and self.uid is not None and "cryosparcUid" in table.frame:
            with understood(f"{source}: its field uid does not tell particles apart. Give the job's own file."):
                rows = pd.Index(table.frame["cryosparcUid"].astype(np.uint64)).get_indexer(self.uid)
            if (rows < 0).any():
                raise DataError(
                    f"{source}: {int((rows < 0).sum()):,} of its {len(rows):,} particles are not in {table.path}. "
                    "Give the particles of the same job."
                )
            return rows.astype(np.int64)
        rows = indices if indices is not None else self.rows
        if rows is None:
            rows = np.arange(table.n)
        if len(rows) != len(self.z):
            of_what = f"the indices name {len(rows):,}" if indices is not None else f"{table.path} has {len(rows):,}"
            raise DataError(
                f"{source}: it has latents of {len(self.z):,} particles, but {of_what}. They do not belong together; "
                "say with --indices which particles they are of."
            )
        if len(rows) and (rows.min() < 0 or rows.max() >= table.n or len(np.unique(rows)) < len(rows)):
            raise DataError(f"{source}: it is of other rows than {table.path} has ({table.n:,}).")
        return rows


def read_given_latents(path: Path) -> GivenLatents:
    """Read latents of any kind of file.

    Raises DataError when it cannot be read, or does not hold finite numbers, a row for each particle.
    """
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    found = _components(path) if path.suffix in CRYOSPARC else _numbers(path)
    z = found.z
    if z.ndim != 2 or not 1 <= z.shape[1] <= MOST_Z or not len(z):
        raise DataError(f"{path}: its numbers have the shape {z.shape}. {_ADVICE}")
    bad = np.flatnonzero(~np.isfinite(z).all(axis=1))
    if len(bad):
        raise DataError(f"{path}: row {bad[0] + 1:,} holds no finite numbers ({len(bad):,} such rows). {_ADVICE}")
    return found


def has_components(path: Path) -> bool:
    """Whether a .cs file holds components of a variability analysis. Raises DataError for a file that is none."""
    return path.suffix == ".cs" and any(_COMPONENT.fullmatch(name) for name in read_records(path).dtype.names or ())


def _components(path: Path) -> GivenLatents:
    if path.suffix != ".cs":
        raise DataError(f"{path}: give the .cs file of the job that has components, which the group names.")
    records = read_records(path)
    names = {int(match[1]): name for name in records.dtype.names or () if (match := _COMPONENT.fullmatch(name))}
    if not names:
        raise DataError(f"{path}: it has no fields components_mode_0/value and on. Give a 3D Variability Analysis.")
    z = np.stack([records[names[k]].reshape(len(records)) for k in sorted(names)], axis=1).astype(np.float32)
    return GivenLatents(z, uid=records["uid"] if "uid" in (records.dtype.names or ()) else None)


def _numbers(path: Path) -> GivenLatents:
    with understood(f"{path}: cannot be read as latent coordinates ({WHY}). {_ADVICE}"), np.errstate(over="ignore"):
        if path.suffix == ".pkl":
            return GivenLatents(read_latents(path)[0])
        if path.suffix == ".npz":
            arrays = arrays_of(path)
            if "z" not in arrays:
                raise ValueError(f"it has no array z, but {', '.join(sorted(arrays))[:100]}")
            rows = arrays.get("rows")
            return GivenLatents(_table(arrays["z"]), None if rows is None else rows.astype(np.int64))
        if path.suffix == ".npy":
            return GivenLatents(_table(read_npy_file(path, _ADVICE)))
        return GivenLatents(_table(_text(path)))


def _text(path: Path) -> np.ndarray:
    """Numbers separated by commas or blanks; a first line of names is passed over."""
    with open(path, encoding="utf-8") as file:
        first = file.readline()
    comma = "," if "," in first else None
    return np.loadtxt(path, delimiter=comma, ndmin=2, skiprows=int(bool(re.search(r"[A-Za-z]{2}|_", first))))


def _table(values: np.ndarray) -> np.ndarray:
    """(N, Z) float32; of one number a particle Z is 1."""
    values = np.asarray(values, np.float32)
    return values[:, None] if values.ndim == 1 else values
