"""Which particles of a run an export is of."""

from pathlib import Path

import numpy as np

from ..errors import DataError
from ..io.reading import WHY, understood
from .export_options import ExportOptions


def asked_for(options: ExportOptions, rows: np.ndarray) -> np.ndarray:
    """(K,) the places among a run's particles, at star rows (N,), of those that the options ask for, in their order.

    Raises DataError for a file that lists no rows, or rows of other particles.
    """
    if not options.only:
        return np.arange(len(rows))
    path = Path(options.only)
    with understood(f"{path} cannot be read ({WHY}); give rows counted from 0, one a line."):
        asked = np.array(path.read_text(encoding="utf-8").split(), np.int64)
    known = np.isin(asked, rows)
    if not len(asked) or not known.all():
        strange = (
            "lists no rows" if not len(asked) else f"lists row {asked[~known][0]}, which the run has no latents of"
        )
        raise DataError(f"{path} {strange}; give rows of the file that the run was made from, counted from 0.")
    return np.flatnonzero(np.isin(rows, asked))
