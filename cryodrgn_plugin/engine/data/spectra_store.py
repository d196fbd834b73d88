"""What a source of images asks of a store that has them prepared."""

from pathlib import Path
from typing import Protocol

import numpy as np

from .first_look import FirstLook


class SpectraStore(Protocol):
    """Images by star row; safe to use from several threads."""

    path: Path

    def holds(self, rows: np.ndarray) -> bool:
        """Whether the images of star rows (N,) are all in it."""

    def spectra(self, rows: np.ndarray, count: int | None = None) -> np.ndarray:
        """(B, F) complex64 prepared spectra of star rows (B,), their first `count` coefficients or all."""

    def look(self, rows: np.ndarray) -> FirstLook:
        """What a first look at the images of star rows (N,) showed."""
