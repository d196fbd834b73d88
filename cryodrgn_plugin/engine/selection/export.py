"""A selection as others read it back: which star rows were taken, for hosts that know particles by ids of their own."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from ..io.arrays import read_arrays
from ..run import Run

INDEX, ARRAYS = "selection.json", "selection.npz"


@dataclass(frozen=True)
class Selection:
    """What `select` left in RUN/selections/NAME."""

    folder: Path
    index: dict[str, Any]
    """selection.json."""
    rows: np.ndarray
    """(N,) star row, from 0, of each particle of the run."""
    selected: np.ndarray
    """(N,) bool."""

    @classmethod
    def open(cls, run: Run, name: str) -> "Selection":
        """The selection of this name. Raises DataError when there is none."""
        folder = run.selection_dir(name)
        try:
            index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
            arrays = read_arrays(folder / ARRAYS, "rows", "selected")
        except OSError:
            raise DataError(f"{run.path} has no selection named {name}; run select on it first.") from None
        return cls(folder, index, arrays["rows"], arrays["selected"])

    def chosen(self, ids: np.ndarray) -> np.ndarray:
        """Ids of the selected particles, in the order of the star file; `ids` (M,) has that of every star row."""
        return np.asarray(ids)[np.sort(self.rows[self.selected])]

    def left_out(self, ids: np.ndarray) -> np.ndarray:
        """Ids of the particles of the run that were not selected."""
        return np.asarray(ids)[np.sort(self.rows[~self.selected])]
