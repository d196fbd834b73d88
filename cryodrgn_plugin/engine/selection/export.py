"""A selection as others read it back: which star rows were taken, for hosts that know particles by ids of their own."""

from dataclasses import dataclass

import numpy as np

from ..errors import DataError
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
        if not results.arrays:
            raise DataError(f"{results.folder} names no particles; run select again.")
        return cls(results, results.arrays["rows"], results.arrays["selected"].astype(bool))

    def chosen(self, ids: np.ndarray) -> np.ndarray:
        """Ids of the selected particles, in the order of the star file; `ids` (M,) has that of every star row."""
        return self._of(ids, self.selected)

    def left_out(self, ids: np.ndarray) -> np.ndarray:
        """Ids of the particles of the run that were not selected."""
        return self._of(ids, ~self.selected)

    def _of(self, ids: np.ndarray, which: np.ndarray) -> np.ndarray:
        rows = np.sort(self.rows[which])
        if len(rows) and not 0 <= rows[0] <= rows[-1] < len(ids):
            raise DataError(
                f"{self.results.folder} names row {rows[-1] + 1:,} of {len(ids):,} particles; it is damaged or of "
                "others. Run select again."
            )
        return np.asarray(ids)[rows]
