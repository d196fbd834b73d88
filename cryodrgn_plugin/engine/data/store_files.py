"""The files of an image store, and how spectra lie in them.

A store is a folder with spectra of M images in half precision (`half_precision`), image after image as their stacks
have them:

    store.json     what it was made from, and how many images are in it: none before all are
    images.npz     which image each is: its stack, its section there, its preparation
    records        M records of what is known of each image: its scale, and what a first look at it showed
    band_00, …     M × n halves, the n coefficients of one band of frequencies
    written        while it is being written: a byte for each lot of images, 1 where they are in it

Coefficients are sorted by |k|, and the bands' limits are the radii 8, 11, 16, 23, … (times √2): whoever wants those up
to a limit reads whole bands that follow each other on disk, at most twice the bytes that are wanted.
"""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..imaging.lattice import HalfPlane
from ..io.atomic import atomic_path
from ..io.reading import read_object, understood

SCHEMA = 1
FIRST_LIMIT, RATIO = 8.0, 2**0.5
BYTES_PER_COEFFICIENT = 4
RECORD = np.dtype([("scale", "<f4"), ("far_out", "<i4"), ("fingerprint", "<u8"), ("lost", "u1")])


class StoreFiles:
    """Where each file of the store in a folder is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state_file, self.images_file = folder / "store.json", folder / "images.npz"
        self.records_file, self.written_file = folder / "records", folder / "written"

    def band_file(self, number: int) -> Path:
        return self.folder / f"band_{number:02d}"

    def state(self) -> dict[str, Any]:
        """store.json. Raises DataError where there is none that can be read."""
        with understood(f"{self.folder} is not an image store: its {self.state_file.name} cannot be read."):
            return read_object(self.state_file, "")

    def write_state(self, state: dict[str, Any]) -> None:
        with atomic_path(self.state_file) as temporary:
            temporary.write_text(json.dumps(state) + "\n", encoding="utf-8")

    def sizes(self, n_images: int, lattice: HalfPlane) -> dict[Path, int]:
        """Bytes of each file of fixed size, once it is whole."""
        edges = band_edges(lattice)
        bands = {
            self.band_file(number): n_images * BYTES_PER_COEFFICIENT * (edges[number + 1] - edges[number])
            for number in range(len(edges) - 1)
        }
        return {self.records_file: n_images * RECORD.itemsize, **bands}


def band_edges(lattice: HalfPlane) -> list[int]:
    """Where in the coefficients each band begins, and where the last one ends."""
    limits = [FIRST_LIMIT]
    while limits[-1] < lattice.radius:
        limits.append(limits[-1] * RATIO)
    counts = [lattice.count(min(limit, lattice.radius)) for limit in limits]
    return [0, *counts]


@contextmanager
def opened(paths: Iterable[Path], flags: int) -> Iterator[list[int]]:
    """Descriptors of files, closed at the end."""
    with ExitStack() as closing:
        descriptors = []
        for path in paths:
            descriptor = os.open(path, flags, 0o666)
            closing.callback(os.close, descriptor)
            descriptors.append(descriptor)
        yield descriptors


def write_at(descriptor: int, values: np.ndarray, offset: int) -> None:
    """All bytes of a contiguous array at a place of an open file."""
    left = memoryview(values).cast("B")
    while left:
        done = os.pwrite(descriptor, left, offset)
        left, offset = left[done:], offset + done


def read_at(descriptor: int, values: np.ndarray, offset: int) -> bool:
    """Fill a contiguous array from a place of an open file; False where the file ends before."""
    left = memoryview(values).cast("B")
    while left:
        done = os.preadv(descriptor, [left], offset)
        if not done:
            return False
        left, offset = left[done:], offset + done
    return True
