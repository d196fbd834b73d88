"""Which particles of a run show the same image, as training has found out (copies.npz)."""

import numpy as np

from .errors import DataError
from .io.arrays import read_arrays
from .io.writing import replacing
from .run_layout import RunLayout


def save_copies(run: RunLayout, rows: np.ndarray, shown: np.ndarray) -> None:
    """Keep in `run` that the images at star `rows` (N,) which show the same have one number in `shown` (N,)."""
    with replacing(run.copies_file) as temporary:
        np.savez(temporary, rows=np.asarray(rows, np.int64), shown=np.asarray(shown, np.int64))


def known_copies(run: RunLayout, rows: np.ndarray) -> np.ndarray:
    """(N,) int64. What the images at star rows (N,) show, equal for copies; all different where none are known."""
    if not run.copies_file.exists():
        return np.arange(len(rows))
    arrays = read_arrays(run.copies_file, "rows", "shown")
    if arrays["rows"].ndim != 1 or arrays["rows"].shape != arrays["shown"].shape:
        raise DataError(f"{run.copies_file} is damaged; remove it, and train again to have copies told apart.")
    known = dict(zip(arrays["rows"].tolist(), arrays["shown"].tolist(), strict=True))
    # A row that training did not see is nobody's copy.
    return np.array([known.get(row, -1 - row) for row in np.asarray(rows).tolist()], np.int64)
