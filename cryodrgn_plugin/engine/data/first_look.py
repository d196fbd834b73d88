"""What a first reading of all images shows: which are damaged, which say nothing, and which may be stored twice.

One pass over the images as they lie on disk, a few microseconds each, before anything is learnt from them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..imaging.outliers import Seen

LARGEST_GREY = 1e15
"""Grey values, and one over them, whose squares can be added up in single precision."""
ROWS_NAMED = 5
"""Rows that a sentence names."""


@dataclass(frozen=True)
class FirstLook:
    """What reading N images showed, in the order they were asked for."""

    rows: np.ndarray
    """(N,) int64. Star-file rows from 0."""
    far_out: np.ndarray
    """(N,) int. Pixels so far out that they are replaced by the middle of their image on reading."""
    lost: np.ndarray
    """(N,) bool. The image says nothing: one grey value all over, or too many pixels far out."""
    fingerprint: np.ndarray
    """(N,) uint64. Equal for images of equal content; by chance for others, hardly ever."""

    @classmethod
    def nothing(cls, rows: np.ndarray) -> "FirstLook":
        """At images at star rows (N,), before any was read."""
        n = len(rows)
        return cls(rows, np.zeros(n, np.int64), np.zeros(n, bool), np.zeros(n, np.uint64))

    def take(self, listed_in: Path, places: np.ndarray, seen: Seen) -> None:
        """Put in what was seen at images in some of the N places. `listed_in` is the star file, for messages.

        Raises DataError naming a row whose squares single precision does not hold.
        """
        _require_squares(listed_in, self.rows[places], seen)
        self.far_out[places], self.lost[places] = seen.far_out, seen.lost
        self.fingerprint[places] = seen.fingerprint

    def at(self, index: np.ndarray) -> "FirstLook":
        """Of the images at `index` (numbers or a mask)."""
        return FirstLook(self.rows[index], self.far_out[index], self.lost[index], self.fingerprint[index])

    @property
    def mended(self) -> np.ndarray:
        """(N,) bool. Images that are of use without the pixels that are far out."""
        return (self.far_out > 0) & ~self.lost

    def sentences(self) -> list[str]:
        """What a user should know, in words."""
        found = []
        if self.mended.any():
            rows, pixels = self.rows[self.mended], self.far_out[self.mended].sum()
            values = f"Grey values far beyond all others ({pixels:,} pixels, hot or saturated)"
            found.append(f"{values} are replaced on reading in {_images(rows)}: {_named(rows)}.")
        if self.lost.any():
            rows = self.rows[self.lost]
            why = "with one grey value all over, or hardly a pixel that is not far out"
            found.append(f"Left out are {_images(rows)} {why}: {_named(rows)}.")
        return found


def _require_squares(listed_in: Path, rows: np.ndarray, seen: Seen) -> None:
    largest = seen.largest
    bad = ~seen.lost & ((largest > LARGEST_GREY) | (largest < 1 / LARGEST_GREY))
    if bad.any():
        raise DataError(
            f"{listed_in}: the grey values of row {rows[bad][0] + 1:,} reach {largest[bad][0]:.2g}, and single "
            f"precision does not hold their squares ({bad.sum():,} of {len(rows):,} images read together are such). "
            "Scale the images, or extract them again."
        )


def _images(rows: np.ndarray) -> str:
    return "1 image" if len(rows) == 1 else f"{len(rows):,} images"


def _named(rows: np.ndarray) -> str:
    """`row 4`, or `rows 4, 9, 12 and 3 more`, counted from 1."""
    first = ", ".join(f"{row + 1:,}" for row in np.sort(rows)[:ROWS_NAMED])
    more = f" and {len(rows) - ROWS_NAMED:,} more" if len(rows) > ROWS_NAMED else ""
    return f"row{'s' * (len(rows) > 1)} {first}{more}"
