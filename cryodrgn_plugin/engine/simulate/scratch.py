"""A temporary file of images that are written in any order and read in blocks."""

import os
from pathlib import Path
from types import TracebackType

import numpy as np

from ..io.writing import explained


class ScratchImages:
    """`count` float32 images of `box` pixels on disk, addressed by row; the file goes at the end of the `with` block.

    Rows are written and read at their place in the file, without mapping it, so that the memory of the process stays
    that of the rows in hand. Raises DataError on a full disk.
    """

    def __init__(self, path: Path, box: int, count: int) -> None:
        self.path, self.count = path, count
        self._shape = (box, box)
        self._row_bytes = 4 * box * box

    def __enter__(self) -> "ScratchImages":
        with explained(self.path):
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)
        self.path.unlink()

    def write(self, rows: np.ndarray, images: np.ndarray) -> None:
        """Put (B, box, box) images at their rows (B,)."""
        with explained(self.path):
            for row, image in zip(rows.tolist(), np.ascontiguousarray(images, dtype=np.float32), strict=True):
                os.pwrite(self._file, image.tobytes(), row * self._row_bytes)

    def add(self, rows: np.ndarray, images: np.ndarray) -> None:
        """Add (B, box, box) images to those at their rows (B,), which were written before."""
        self.write(rows, images + np.concatenate([self.read(row, 1) for row in rows.tolist()]))

    def read(self, first: int, count: int) -> np.ndarray:
        """`count` images from row `first` on, (count, box, box)."""
        raw = os.pread(self._file, count * self._row_bytes, first * self._row_bytes)
        return np.frombuffer(raw, dtype=np.float32).reshape(count, *self._shape)
