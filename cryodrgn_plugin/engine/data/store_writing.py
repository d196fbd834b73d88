"""Writes an image store: every image is read and transformed once, on all threads of one process or of several, and a
killed writer is taken up.

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
from ..ranks import Ranks
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
    """Write the store of the images at star rows (N,) below `folder`, or what is missing of it, by one process.

    Raises
    ------
    DataError : an image that is not finite; its row is named.
    OSError : the disk is full, or nothing may be written there.
    """
    writing = StoreWriting(folder, source, rows)
    writing.begin()
    writing.write(progress)
    writing.end()


class StoreWriting:
    """A store that is being written: one process begins it, one or several write, and one ends it when all have.

    Until it is ended it is nobody's store. What a killed writer has left is taken up by any number of them: each lot of
    images is noted by itself, once it is on the disk, and nobody else writes where it lies.
    """

    def __init__(self, folder: Path, source: ParticleSource, rows: np.ndarray) -> None:
        """Of the images at star rows (N,), below `folder`."""
        self.images, _, row = StoredImages.of(source, rows)
        self.files = StoreFiles(folder / self.images.digest)
        self._writer = StoreWriter(source, self.images, row)
        self._sizes = self.files.sizes(len(self.images), self.images.lattice)
        lots = len(range(0, len(self.images), self._writer.at_once))
        self.written = np.zeros(lots, np.uint8)
        """1 for each lot of images that was in it when it was begun; only the process that began it knows."""

    @property
    def n_bytes(self) -> int:
        return sum(self._sizes.values())

    def begin(self) -> None:
        """Make the files where there are none, and see which images are in them already."""
        try:
            state, there = self.files.state(), read_arrays(self.files.images_file, "image")["image"]
            whole = all(file.stat().st_size == size for file, size in self._sizes.items())
            if state["schema"] == SCHEMA and whole and np.array_equal(there, self.images.image):
                if state["done"] == len(self.images):
                    self.written[:] = 1
                    return
                noted = np.fromfile(self.files.written_file, np.uint8)
                if state["at_once"] == self._writer.at_once and noted.shape == self.written.shape:
                    self.written[:] = noted == 1
                    return
        except (DataError, OSError, KeyError, TypeError, ValueError):
            pass  # nothing that could be taken up
        self.files.folder.mkdir(parents=True, exist_ok=True)
        self.files.written_file.write_bytes(self.written.tobytes())
        with atomic_path(self.files.images_file) as temporary:
            np.savez(temporary, image=self.images.image)
        self.files.write_state(self._state(0))
        with opened(self._sizes, os.O_RDWR | os.O_CREAT) as descriptors:
            for descriptor, size in zip(descriptors, self._sizes.values(), strict=True):
                os.ftruncate(descriptor, size)

    def write(self, progress: Callable[[int, int], object], ranks: Ranks | None = None) -> None:
        """Put in what is missing, of several processes each a share of it; `progress` is told how many images are in
        it, and how many will be, without those that others are writing.

        Raises as `write_store`.
        """
        starts = np.arange(0, len(self.images), self._writer.at_once)
        sizes, missing = np.diff(starts, append=len(self.images)), np.flatnonzero(self.written == 0)
        missing = missing[(ranks or Ranks()).share(len(missing))]
        if not len(missing):
            return
        done = sizes[self.written == 1].sum() + sizes[missing].cumsum()
        files = [*self._sizes, self.files.written_file]
        with opened(files, os.O_RDWR) as descriptors, ThreadPoolExecutor(available()) as pool:
            noted, since = 0, time.monotonic()
            try:
                ready = pool.map(lambda start: self._writer.write(descriptors[:-1], start), starts[missing].tolist())
                for number, _ in enumerate(ready, 1):
                    progress(int(done[number - 1]), int(done[-1]))
                    if number == len(missing) or time.monotonic() > since + NOTED_EVERY_S:
                        _note(descriptors, missing[noted:number])
                        noted, since = number, time.monotonic()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def end(self) -> None:
        """All images are in it: from now on it can be read."""
        self.files.write_state(self._state(len(self.images)))
        self.files.written_file.unlink(missing_ok=True)

    def _state(self, done: int) -> dict[str, Any]:
        images = self.images
        made_from = {"lattice": repr(images.lattice), "stacks": images.stacks, "preparations": images.preparations}
        return {"schema": SCHEMA, "images": len(images), "done": done, "at_once": self._writer.at_once, **made_from}


def _note(descriptors: list[int], lots: np.ndarray) -> None:
    """Put down, in the last of the files, that lots of images are in the others, once they are on the disk."""
    *of_images, of_lots = descriptors
    for descriptor in of_images:
        os.fdatasync(descriptor)
    for lot in lots.tolist():
        write_at(of_lots, np.ones(1, np.uint8), lot)
    os.fdatasync(of_lots)


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
