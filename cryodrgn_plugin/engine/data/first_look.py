"""What a first reading of all images shows: which are damaged, which say nothing, and which may be stored twice.

One pass over the images as they lie on disk, a few microseconds each, before anything is learnt from them.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from ..imaging.outliers import Mended

if TYPE_CHECKING:
    from .source import ParticleSource

PIXELS_AT_ONCE = 2**19
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


def first_look(source: "ParticleSource", rows: np.ndarray) -> FirstLook:
    """Read the images at star rows (N,) once, in the order in which they are stored.

    Raises DataError naming the row of an image that holds NaN or infinite values, or whose squares single precision
    does not hold.
    """
    far_out, lost = np.zeros(len(rows), np.int64), np.zeros(len(rows), bool)
    fingerprint = np.zeros(len(rows), np.uint64)
    rank = np.empty(source.table.n, np.int64)
    rank[source.stacks.stored_order] = np.arange(source.table.n)
    order = np.argsort(rank[rows], kind="stable")
    for group in np.unique(source.group[rows]):
        members = order[source.group[rows[order]] == group]
        step = max(1, PIXELS_AT_ONCE // int(source.geometry.boxes[group]) ** 2)
        for start in range(0, len(members), step):
            some = members[start : start + step]
            raw = source.raw(rows[some])
            found = source.preparations[group].mended(raw)
            far_out[some], lost[some] = found.far_out, found.lost
            _require_squares(source, rows[some], found)
            fingerprint[some] = raw.reshape(len(some), -1).view(np.uint32).sum(axis=1, dtype=np.uint64)
    return FirstLook(rows, far_out, lost, fingerprint)


def _require_squares(source: "ParticleSource", rows: np.ndarray, found: Mended) -> None:
    largest = np.maximum(found.images.max(axis=(1, 2)), -found.images.min(axis=(1, 2)))
    bad = ~found.lost & ((largest > LARGEST_GREY) | (largest < 1 / LARGEST_GREY))
    if bad.any():
        raise DataError(
            f"{source.table.path}: the grey values of row {rows[bad][0] + 1:,} reach {largest[bad][0]:.2g}, and single "
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
