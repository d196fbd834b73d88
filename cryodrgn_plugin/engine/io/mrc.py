"""MRC maps and image stacks: maps and stacks written whole, stacks read a few images at a time.

Reading uses positioned reads and not memory maps: the memory of the process stays that of the images asked for, however
large the stacks are, and a file that is cut off gives an error instead of a bus error. Arrays are `vol[z, y, x]` and
`img[y, x]`; everything written is float32 (a stack may be float16), with pixel size and origin 0 (docs/conventions.md).
"""

import os
from contextlib import suppress
from pathlib import Path

import numpy as np

from .header import HEADER_BYTES, new_header, read_header
from .stacks import StackReader
from .writing import explained, replacing

__all__ = ["StackReader", "StackWriter", "read_header", "read_map", "write_map", "write_stack"]


def read_map(path: str | os.PathLike) -> tuple[np.ndarray, float]:
    """A volume as float32 (z, y, x), and its pixel size in angstrom. Crystallographers' programs store axes in other
    orders, which the header says; those of stacks are disregarded, as RELION does.

    Raises DataError as `read_header` does.
    """
    header = read_header(path)
    with open(path, "rb") as file:
        file.seek(header.offset)
        values = np.fromfile(file, header.dtype, int(np.prod(header.shape)))
    stored = header.axes[::-1]
    volume = values.reshape(header.shape).transpose([stored.index(axis) for axis in (3, 2, 1)])
    return np.ascontiguousarray(volume, np.float32), header.pixel_size_ang


def write_map(path: str | os.PathLike, volume: np.ndarray, pixel_size_ang: float) -> None:
    """Write a (D, D, D) volume as float32. Raises DataError when it cannot be written."""
    volume = np.ascontiguousarray(volume, dtype="<f4")
    header = new_header(volume.shape, pixel_size_ang, is_stack=False)
    header["minimum"], header["maximum"] = volume.min(), volume.max()
    header["mean"], header["deviation"] = volume.mean(dtype=np.float64), volume.std(dtype=np.float64)
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(header.tobytes())
        file.write(volume.tobytes())


def write_stack(path: str | os.PathLike, images: np.ndarray, pixel_size_ang: float) -> None:
    """Write (N, D, D) images as a float32 stack. Raises DataError when it cannot be written."""
    with StackWriter(path, images.shape[-1], pixel_size_ang) as stack:
        stack.append(images)


class StackWriter:
    """A float32 (or float16) stack that grows; it appears under its name, complete, when it is closed.

    Use as a context manager: when the block fails nothing is left behind. `append` raises DataError on a full disk.
    """

    def __init__(self, path: str | os.PathLike, box: int, pixel_size_ang: float, *, float16: bool = False) -> None:
        self.path = Path(path)
        self.box = box
        self.pixel_size_ang = pixel_size_ang
        self.float16 = float16
        self.n = 0
        self._sum = self._sum_of_squares = 0.0
        self._minimum, self._maximum = np.inf, -np.inf

    def __enter__(self) -> "StackWriter":
        self._place = replacing(self.path)
        with explained(self.path):
            self._file = open(self._place.__enter__(), "wb")
            self._file.write(bytes(HEADER_BYTES))
        return self

    def append(self, images: np.ndarray) -> None:
        """Add one image (D, D) or several (B, D, D)."""
        images = np.ascontiguousarray(images, dtype="<f2" if self.float16 else "<f4").reshape(-1, self.box, self.box)
        with explained(self.path):
            self._file.write(images.tobytes())
        self.n += len(images)
        if len(images):
            self._sum += images.sum(dtype=np.float64)
            self._sum_of_squares += np.square(images, dtype=np.float64).sum()
            self._minimum, self._maximum = min(self._minimum, images.min()), max(self._maximum, images.max())

    def __exit__(self, kind, error, traceback) -> None:
        try:
            if error is None:
                self._finish()
        except OSError as late:
            self._abandon()
            if not self._place.__exit__(type(late), late, late.__traceback__):
                raise
        else:
            self._abandon()
            self._place.__exit__(kind, error, traceback)

    def _finish(self) -> None:
        shape = (self.n, self.box, self.box)
        header = new_header(shape, self.pixel_size_ang, is_stack=True, float16=self.float16)
        if self.n:
            pixels = self.n * self.box**2
            mean = self._sum / pixels
            header["minimum"], header["maximum"], header["mean"] = self._minimum, self._maximum, mean
            header["deviation"] = np.sqrt(max(0.0, self._sum_of_squares / pixels - mean**2))
        self._file.seek(0)
        self._file.write(header.tobytes())
        self._file.flush()

    def _abandon(self) -> None:
        # The buffer of a failed write cannot be flushed; the file is removed anyway.
        with suppress(OSError):
            self._file.close()
