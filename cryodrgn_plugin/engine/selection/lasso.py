"""Particles inside a polygon that was drawn around them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..io.reading import read_object, understood

SPACES = ("umap", "pca")


@dataclass(frozen=True)
class Lasso:
    """A closed polygon (V, 2) in the plane of two columns, such as umap1 and umap2."""

    axes: tuple[str, str]
    polygon: np.ndarray

    def inside(self, positions: np.ndarray) -> np.ndarray:
        """(N,) bool for positions (N, 2); where the outline crosses itself, the even-odd rule decides."""
        # Along y each edge of the outline concerns a run of the sorted positions, so that a line of many corners costs
        # little more than one of few.
        order = np.argsort(positions[:, 1])
        x, y = np.asarray(positions, np.float64)[order].T
        within = np.zeros(len(y), bool)
        for (x1, y1), (x2, y2) in zip(self.polygon, np.roll(self.polygon, -1, axis=0), strict=True):
            first, last = np.searchsorted(y, sorted((y1, y2)))
            if first < last:
                run = slice(first, last)
                within[run] ^= x[run] < x1 + (y[run] - y1) * (x2 - x1) / (y2 - y1)
        inside = np.empty(len(y), bool)
        inside[order] = within
        return inside


def read_lasso(path: str | Path) -> Lasso:
    """A lasso file: {"space": "umap" or "pca", "polygon": [[x, y], …], "components": [1, 2] (pca only, from 1)}.

    Raises DataError in one sentence for whatever is wrong with it.
    """
    try:
        no_lasso = f'{path} is no lasso; it should hold {{"space": "umap", "polygon": [[x, y], …]}}.'
        with understood(no_lasso, missing_ok=True):
            content = read_object(Path(path), no_lasso)
            space = content.get("space", "umap")
            polygon = np.array(content["polygon"], dtype=np.float64)
            first, second = (int(number) for number in content.get("components", (1, 2)))
    except FileNotFoundError:
        raise DataError(f"There is no lasso file {path}.") from None
    if space not in SPACES:
        raise DataError(f"{path}: the space of a lasso is umap or pca, not {str(space)[:50]!r}.")
    if polygon.ndim != 2 or polygon.shape[1] != 2 or len(polygon) < 3 or not np.isfinite(polygon).all():
        raise DataError(f"{path}: a lasso needs at least three corners [x, y].")
    prefix = "umap" if space == "umap" else "pc"
    return Lasso((f"{prefix}{first}", f"{prefix}{second}"), polygon)
