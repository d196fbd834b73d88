"""Writes an image store: every image is read and transformed once, on all threads, and a killed writer is taken up.

What is looked at when all images are read for the first time (`first_look`) is looked at here on the way.
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from ..io.arrays import read_arrays
from ..io.atomic import atomic_path
from ..threads import available
from .first_look import FirstLook
from .half_precision import to_halves
from .source import ParticleSource
from .store_files import RECORD, SCHEMA, StoreFiles, band_edges, opened, write_at
from .store_key import StoredImages

AT_ONCE = 512
"""Images that a thread works on before it is given others."""
NOTED_EVERY_S = 5.0
"""How often it is noted how far the store is; what came after is written again when a killed writer is taken up."""


def write_store(folder: Path, source: ParticleSource, rows: np.ndarray, progress: Callable[[int, int], object]) -> None:
    """Write the store of the images at star rows (N,) below `folder`, or what is missing of it.

    Raises
    ------
    DataError : an image that is not finite; its row is named.
    OSError : the disk is full, or nothing may be written there.
    """
    images, _, row = StoredImages.of(source, rows)
    files = StoreFiles(folder / images.digest)
    done = _begun(files, images)
    writer = _Writer(source, images, row)
    sizes = files.sizes(len(images), images.lattice)
    with opened(list(sizes), os.O_RDWR | os.O_CREAT) as descriptors, ThreadPoolExecutor(available()) as pool:
        for descriptor, size in zip(descriptors, sizes.values(), strict=True):
            os.ftruncate(descriptor, size)
        starts = range(done, len(images), AT_ONCE)
        try:
            noted = time.monotonic()
            for end in pool.map(lambda start: writer.write(descriptors, start), starts):
                progress(end, len(images))
                if end == len(images) or time.monotonic() > noted + NOTED_EVERY_S:
                    _note(files, images, descriptors, end)
                    noted = time.monotonic()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _begun(files: StoreFiles, images: StoredImages) -> int:
    """How many of the images are in the store already; the folder is made where there is none."""
    try:
        state, there = files.state(), read_arrays(files.images_file, "image")["image"]
        whole = all(file.stat().st_size == size for file, size in files.sizes(len(images), images.lattice).items())
        if state["schema"] == SCHEMA and whole and np.array_equal(there, images.image):
            return min(max(int(state["done"]), 0), len(images))
    except (DataError, OSError, TypeError, ValueError):
        pass  # nothing that could be taken up
    files.folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(files.images_file) as temporary:
        np.savez(temporary, image=images.image)
    files.write_state(_state(images, 0))
    return 0


def _note(files: StoreFiles, images: StoredImages, descriptors: list[int], done: int) -> None:
    """Put down that the first `done` images are in the store, once they are on the disk."""
    for descriptor in descriptors:
        os.fdatasync(descriptor)
    files.write_state(_state(images, done))


def _state(images: StoredImages, done: int) -> dict[str, Any]:
    made_from = {"lattice": repr(images.lattice), "stacks": images.stacks, "preparations": images.preparations}
    return {"schema": SCHEMA, "images": len(images), "done": done, **made_from}


class _Writer:
    """Prepares images and puts them into their places."""

    def __init__(self, source: ParticleSource, images: StoredImages, row: np.ndarray) -> None:
        """`row` (M,) is a star row of each image."""
        self.source, self.row = source, row
        self.edges = band_edges(images.lattice)

    def write(self, descriptors: list[int], start: int) -> int:
        """Some images from number `start` on; returns the number of the next one."""
        end = min(start + AT_ONCE, len(self.row))
        step = min(self.source.read_together(int(group)) for group in np.unique(self.source.group[self.row[start:end]]))
        for first in range(start, end, step):
            self._write(descriptors, first, min(first + step, end))
        return end

    def _write(self, descriptors: list[int], first: int, end: int) -> None:
        rows = self.row[first:end]
        spectra, look = self._prepared(rows)
        halves = np.empty((len(rows), 2 * self.edges[-1]), np.uint16)
        records = np.empty(len(rows), RECORD)
        scale = np.empty(len(rows), np.float32)
        to_halves(spectra.view(np.uint32), halves, scale)
        records["scale"], records["far_out"] = scale, look.far_out
        records["fingerprint"], records["lost"] = look.fingerprint, look.lost
        write_at(descriptors[0], records, first * RECORD.itemsize)
        for descriptor, begin, stop in zip(descriptors[1:], self.edges[:-1], self.edges[1:], strict=True):
            band = np.ascontiguousarray(halves[:, 2 * begin : 2 * stop])
            write_at(descriptor, band, first * band.shape[1] * band.itemsize)

    def _prepared(self, rows: np.ndarray) -> tuple[np.ndarray, FirstLook]:
        spectra, look = np.empty((len(rows), self.edges[-1]), np.complex64), FirstLook.nothing(rows)
        for group, members in self.source.by_group(rows):
            raw = self.source.raw(rows[members])
            found = self.source.preparations[group].mended(raw)
            look.take(self.source.table.path, members, raw, found)
            spectra[members] = self.source.transformed(group, found.images)
        return spectra, look
