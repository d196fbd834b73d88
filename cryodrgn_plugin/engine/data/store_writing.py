"""Writes an image store: every image is read and transformed once, on all threads, and a killed writer is taken up.

What is looked at when all images are read for the first time (`first_look`) is looked at here on the way.
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from ..imaging.outliers import Seen
from ..io.arrays import read_arrays
from ..io.atomic import atomic_path
from ..threads import available
from .first_look import FirstLook
from .half_precision import to_halves
from .source import ParticleSource
from .store_files import RECORD, SCHEMA, StoreFiles, band_edges, opened, write_at
from .store_key import StoredImages

MOST_AT_ONCE, PIXELS_AT_ONCE = 512, 2**21
"""Images that a thread works on before it is given others, and what their pixels are bounded by."""
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
    writer = StoreWriter(source, images, row)
    sizes = files.sizes(len(images), images.lattice)
    with opened(list(sizes), os.O_RDWR | os.O_CREAT) as descriptors, ThreadPoolExecutor(available()) as pool:
        for descriptor, size in zip(descriptors, sizes.values(), strict=True):
            os.ftruncate(descriptor, size)
        starts = range(done, len(images), writer.at_once)
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


class StoreWriter:
    """Prepares images and puts them into their places."""

    def __init__(self, source: ParticleSource, images: StoredImages, row: np.ndarray) -> None:
        """`row` (M,) is a star row of each image."""
        self.source, self.row = source, row
        self.edges = band_edges(images.lattice)
        self.at_once = max(1, min(MOST_AT_ONCE, PIXELS_AT_ONCE // images.lattice.box**2))

    def write(self, descriptors: list[int], start: int) -> int:
        """The images from number `start` on, `at_once` of them; returns the number of the next one."""
        rows = self.row[start : start + self.at_once]
        n, look, records = len(rows), FirstLook.nothing(rows), np.empty(len(rows), RECORD)
        lot = _Halves(2 * np.array(self.edges), np.empty(n * 2 * self.edges[-1], np.uint16), np.empty(n, np.float32))
        for group, members in self.source.by_group(rows):
            look.take(self.source.table.path, members, self._add(lot, group, rows[members], members))
        records["scale"], records["far_out"] = lot.scale, look.far_out
        records["fingerprint"], records["lost"] = look.fingerprint, look.lost
        for descriptor, values in zip(descriptors, [records, *lot.bands()], strict=True):
            write_at(descriptor, values, start * values.nbytes // n)
        return start + n

    def _add(self, lot: "_Halves", group: int, rows: np.ndarray, places: np.ndarray) -> Seen:
        """Prepare images of one group and put them into places of a lot; returns what was seen at them.

        They are prepared a few at a time, so that what passes from step to step stays in the processor's cache, and
        none is held up by those that have to be mended: these are prepared again.
        """
        source, seen, step = self.source, Seen.nothing(len(rows)), self.source.read_together(group)
        for first in range(0, len(rows), step):
            some = slice(first, first + step)
            images = source.stacks.read(rows[some])
            seen.look_at(some, images)
            lot.put(places[some], source.transformed(group, images))
        source.require_finite(rows, seen.finite)
        suspicious = seen.suspicious(source.preparations[group].grey_reach)
        for first in range(0, len(suspicious), step):
            some = suspicious[first : first + step]
            found = source.mended(group, rows[some])
            seen.put(some, found.seen)
            lot.put(places[some], source.transformed(group, found.images))
        return seen


@dataclass(frozen=True)
class _Halves:
    """Spectra of n images in half precision, as `half_precision.to_halves` puts them."""

    edges: np.ndarray
    halves: np.ndarray
    scale: np.ndarray

    def put(self, places: np.ndarray, spectra: np.ndarray) -> None:
        to_halves(spectra.view(np.uint32), places, self.edges, self.halves, self.scale)

    def bands(self) -> list[np.ndarray]:
        """The halves of each band, n images one after the other."""
        return np.split(self.halves, len(self.scale) * self.edges[1:-1])
