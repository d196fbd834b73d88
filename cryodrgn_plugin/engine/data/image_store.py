"""Prepared spectra read from a store on disk (`store_files`), by star-file row.

Bytes are read, not mapped: what a process holds is then what it needs, and the system keeps in memory what there is
room for.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from ..io.arrays import read_arrays
from .first_look import FirstLook
from .half_precision import from_halves
from .store_files import RECORD, SCHEMA, StoreFiles, band_edges, read_at
from .store_key import StoredImages

if TYPE_CHECKING:
    from .source import ParticleSource

CHECKED = 16
"""Images that are prepared anew to see that a store holds what it says."""
TOLERANCE = 1e-3
"""Root mean square difference of one of those, as a share of its spectrum's."""


class ImageStore:
    """A store that holds the images of some star rows."""

    def __init__(self, files: StoreFiles, source: "ParticleSource", images: StoredImages, slot: np.ndarray) -> None:
        """`images` are those of the store; `slot` (n,) int64 says which of them each star row shows, −1 for none."""
        self.path, self._slot, self._source = files.folder, slot, source
        self._edges = band_edges(images.lattice)
        self._bands: list[int] = []
        self._records = np.fromfile(files.records_file, RECORD)
        try:
            for number in range(len(self._edges) - 1):
                self._bands.append(os.open(files.band_file(number), os.O_RDONLY))
        except OSError as error:
            raise DataError(f"{files.folder}: the image store cannot be read ({error.strerror}); remove it.") from None

    def __del__(self) -> None:
        for descriptor in getattr(self, "_bands", ()):
            os.close(descriptor)

    def holds(self, rows: np.ndarray) -> bool:
        """Whether the images of these star rows are in it."""
        return bool((self._slot[rows] >= 0).all())

    def spectra(self, rows: np.ndarray, count: int | None = None) -> np.ndarray:
        """(B, F) complex64 prepared spectra of star rows, their first `count` coefficients or all; from the stacks
        where one is not in the store. Safe to use from several threads."""
        count, slots = count or self._edges[-1], self._slot[rows]
        if not self.holds(rows):
            return self._source.spectra(rows)[:, :count]
        order = np.argsort(slots, kind="stable")
        spectra = self._read(slots[order], self._source.factors(rows[order]), count)
        if (np.diff(order) == 1).all():
            return spectra
        result = np.empty_like(spectra)
        result[order] = spectra
        return result

    def look(self, rows: np.ndarray) -> FirstLook:
        """What a first look at the images of star rows (N,) showed."""
        seen = self._records[self._slot[rows]]
        return FirstLook(rows, seen["far_out"].astype(np.int64), seen["lost"].astype(bool), seen["fingerprint"].copy())

    def is_true(self, rows: np.ndarray) -> bool:
        """Whether some of the images of these star rows (N,) are in it as they would be prepared now."""
        some = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), CHECKED)).astype(int))]
        fresh, kept = self._source.spectra(some), self.spectra(some)
        away, size = np.linalg.norm(kept - fresh, axis=1), np.linalg.norm(fresh, axis=1)
        return bool((away <= TOLERANCE * size).all())

    def _read(self, slots: np.ndarray, factors: np.ndarray, count: int) -> np.ndarray:
        """(B, count) complex64 of slots (B,) in rising order."""
        spectra = np.empty((len(slots), count), np.complex64)
        parts, scale = spectra.view(np.float32), self._records["scale"][slots] * factors
        breaks = np.flatnonzero(np.diff(slots) != 1) + 1
        runs = list(zip([0, *breaks], [*breaks, len(slots)], strict=True))
        for band, first in enumerate(self._edges[:-1]):
            if first >= count:
                break
            width = 2 * (self._edges[band + 1] - first)
            halves = np.empty((len(slots), width), np.uint16)
            for begin, end in runs:
                if not read_at(self._bands[band], halves[begin:end], int(slots[begin]) * width * 2):
                    raise DataError(f"{self.path}: the image store was cut off while it was being read; remove it.")
            from_halves(halves, scale, parts, 2 * first)
        return spectra


def stored_images(files: StoreFiles, source: "ParticleSource") -> StoredImages | None:
    """The images of a whole store; None where it is not whole, or of another make."""
    try:
        state, image = files.state(), read_arrays(files.images_file, "image")["image"]
        known = StoredImages(source.lattice, list(state["stacks"]), list(state["preparations"]), image)
        whole = state["schema"] == SCHEMA and state["done"] == len(known) and state["lattice"] == repr(source.lattice)
        sizes = files.sizes(len(known), source.lattice)
        return known if whole and all(file.stat().st_size == size for file, size in sizes.items()) else None
    except (DataError, OSError, KeyError, TypeError, ValueError):
        return None


def shared_store(setting: str, source: "ParticleSource", rows: np.ndarray) -> ImageStore | None:
    """As `find_store`, in the folder that the setting `data.store` names, where it names one."""
    return None if setting in ("auto", "off") else find_store(Path(setting), source, rows)


def find_store(folder: Path, source: "ParticleSource", rows: np.ndarray) -> ImageStore | None:
    """A store in `folder` that has the images at star rows (N,), as they would be prepared now; None without one."""
    if not folder.is_dir() or not len(rows):
        return None
    wanted, number, _ = StoredImages.of(source, rows)
    for files in _stores(folder, wanted.digest):
        known = stored_images(files, source)
        places = None if known is None else known.places_of(wanted)
        if known is None or places is None:
            continue
        slot = np.full(source.table.n, -1)
        slot[rows] = places[number]
        with suppress(DataError, OSError):  # it was removed meanwhile, or may not be read
            store = ImageStore(files, source, known, slot)
            if store.is_true(rows):
                return store
    return None


def _stores(folder: Path, first: str) -> list[StoreFiles]:
    """What is in a folder of stores, the one of this name first; nothing where it may not be read."""
    with suppress(OSError):
        paths = sorted(folder.iterdir(), key=lambda path: (path.name != first, path.name))
        return [files for files in map(StoreFiles, paths) if files.state_file.is_file()]
    return []
