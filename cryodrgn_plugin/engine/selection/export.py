"""A selection as others read it back: which star rows were taken, for hosts that know particles by ids of their own."""

from dataclasses import dataclass

import numpy as np

from ..results import Results
from ..run import Run


@dataclass(frozen=True)
class Selection:
    """What `select` has left under a name."""

    results: Results
    rows: np.ndarray
    """(N,) star row, from 0, of each particle of the run."""
    selected: np.ndarray
    """(N,) bool."""

    @classmethod
    def open(cls, run: Run, name: str) -> "Selection":
        """The selection of this name. Raises DataError when there is none."""
        results = run.results("selection", name)
        return cls(results, results.arrays["rows"], results.arrays["selected"])

    def chosen(self, ids: np.ndarray) -> np.ndarray:
        """Ids of the selected particles, in the order of the star file; `ids` (M,) has that of every star row."""
        return np.asarray(ids)[np.sort(self.rows[self.selected])]

    def left_out(self, ids: np.ndarray) -> np.ndarray:
        """Ids of the particles of the run that were not selected."""
        return np.asarray(ids)[np.sort(self.rows[~self.selected])]
