"""Particles that a file lists by their rows in the star file, from 0 and one per line: what was chosen elsewhere."""

import os
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..io.reading import WHY, understood
from ..io.writing import write_text


def read_listed(path: str | os.PathLike) -> np.ndarray:
    """(M,) int64 rows that a file lists. Raises DataError, in one sentence, for one that lists anything else."""
    try:
        with understood(f"{path} is no list of star rows, one whole number from 0 on each line ({WHY}).", True):
            words = Path(path).read_text(encoding="utf-8").split()
            wrong = next((word for word in words if not (word.isascii() and word.isdecimal() and len(word) < 19)), None)
            if wrong is not None:
                raise ValueError(f"it holds {wrong[:50]!r}")
            return np.array(words, np.int64)
    except FileNotFoundError:
        raise DataError(f"There is no list of particles {path}.") from None


def write_listed(path: str | os.PathLike, rows: np.ndarray) -> None:
    """List star rows (M,), from 0. Raises DataError when the file cannot be written."""
    write_text(path, "".join(f"{row}\n" for row in np.asarray(rows).tolist()))
