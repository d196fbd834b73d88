"""Every column that is known of a run's particles, for colours, rules and the mouse; read after the window is open."""

from collections.abc import Iterator, Mapping

import numpy as np

from ..constants import ID_COLUMN
from ..convert import object_ids
from ..engine.run import Run
from ..engine.selection.columns import JUDGED, known_columns
from .colouring import Colouring
from .shading import colouring_of_column


class ColumnsOfRun(Mapping[str, np.ndarray]):
    """Name to (N,) values, in the order of the latents; those that only a look at the images can tell are left out."""

    def __init__(self, run: Run) -> None:
        self._columns = known_columns(run)
        self._colourings: dict[str, Colouring] = {}
        self.object_ids = self._ids(run)
        """(N,); none where the particles are no host's."""

    def __getitem__(self, name: str) -> np.ndarray:
        if name in JUDGED:
            raise KeyError(name)
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._columns if name not in JUDGED)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def colouring(self, name: str) -> Colouring:
        """A column as a colouring."""
        if name not in self._colourings:
            self._colourings[name] = colouring_of_column(name, self[name])
        return self._colourings[name]

    def _ids(self, run: Run) -> np.ndarray:
        if ID_COLUMN in self._columns:
            return self._columns[ID_COLUMN]
        return object_ids(run.given_file)[self._columns.latents.rows] if run.poses_file.exists() else np.zeros(0, int)
