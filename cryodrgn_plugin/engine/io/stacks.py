"""Images of a particle set that may lie in one stack or in thousands, read by row number.

Headers are read once; data are read on request with few files open at a time.
"""

import itertools
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import DataError
from .header import read_header

MAX_OPEN_FILES = 64


class StackReader:
    """Images named `number@stack` (numbers count from 1), found in the first of `folders` that has the stack.

    Parameters
    ----------
    image_names : (N,) strings in RELION's form.
    folders : where relative paths may start, in order of preference.
    source : the file that names the images, for messages.

    Raises
    ------
    DataError : a stack is absent, cut off, not square, or has fewer images than are named.
    """

    def __init__(
        self, image_names: Sequence[str], folders: Sequence[str | os.PathLike] = (".",), source: str = ""
    ) -> None:
        self.source = source
        self._slices, self._stacks, names, self._numbered = _parse(image_names, source)
        self.paths = locate_stacks(names, [Path(folder) for folder in folders], source)
        self.headers = [read_header(path) for path in self.paths]
        self._check_sizes()
        self._open: OrderedDict[int, int] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._slices)

    @property
    def box(self) -> np.ndarray:
        """(N,) int. Box of each image in pixels."""
        return np.array([header.shape[2] for header in self.headers])[self._stacks]

    @property
    def stack(self) -> np.ndarray:
        """(N,) int. Which of `paths` each image lies in."""
        return self._stacks

    @property
    def section(self) -> np.ndarray:
        """(N,) int64. Which image of its stack each is, from 0."""
        return self._slices

    @property
    def stored_order(self) -> np.ndarray:
        """(N,) int. Row numbers in the order in which the images lie on disk."""
        return np.lexsort((self._slices, self._stacks))

    def read(self, index: np.ndarray) -> np.ndarray:
        """Images of the rows in `index`, (B, D, D) float32. All must have one box."""
        index = np.atleast_1d(np.asarray(index))
        if not len(index):
            return np.zeros((0, 0, 0), np.float32)
        box = self.headers[self._stacks[index[0]]].shape[2]
        images = np.empty((len(index), box, box), np.float32)
        if self._in_one_piece(index):
            images[...] = self._read_run(self._stacks[index[0]], self._slices[index[0]], len(index))
            return images
        order = np.lexsort((self._slices[index], self._stacks[index]))
        for run in _runs(self._stacks[index[order]], self._slices[index[order]]):
            # A run lies in one piece on disk; `targets` are where its images belong in the answer.
            targets = order[run]
            first = index[targets[0]]
            images[targets] = self._read_run(self._stacks[first], self._slices[first], len(targets))
        return images

    def _in_one_piece(self, index: np.ndarray) -> bool:
        """Whether these images follow each other on disk in the order asked for."""
        stacks, slices = self._stacks[index], self._slices[index]
        return bool((stacks == stacks[0]).all() and (np.diff(slices) == 1).all())

    def _read_run(self, stack: int, first: int, count: int) -> np.ndarray:
        header = self.headers[stack]
        values = np.empty((count, *header.shape[1:]), header.dtype)
        wanted = memoryview(values).cast("B")
        start = header.offset + int(first) * header.image_bytes
        with self._lock:
            file = self._file(stack)
            done = 0
            while done < len(wanted):
                got = os.preadv(file, [wanted[done:]], start + done)
                if got == 0:
                    raise DataError(
                        f"{self.paths[stack]}: was cut off while it was being read. Copy or extract it again."
                    )
                done += got
        return values

    def _file(self, stack: int) -> int:
        """Descriptor of an open stack; the one unused for longest is closed when too many are open."""
        if stack in self._open:
            self._open.move_to_end(stack)
            return self._open[stack]
        if len(self._open) >= MAX_OPEN_FILES:
            os.close(self._open.popitem(last=False)[1])
        try:
            self._open[stack] = os.open(self.paths[stack], os.O_RDONLY)
        except OSError as error:
            raise DataError(f"{self.paths[stack]}: can no longer be read ({error.strerror}).") from None
        return self._open[stack]

    def close(self) -> None:
        """Close the files; they are opened again when needed."""
        with self._lock:
            while self._open:
                os.close(self._open.popitem()[1])

    def __del__(self) -> None:
        if hasattr(self, "_open"):
            self.close()

    def _check_sizes(self) -> None:
        sizes = np.array([header.shape[0] for header in self.headers])
        beyond = np.flatnonzero(self._slices >= sizes[self._stacks])
        if len(beyond):
            row = beyond[0]
            stack = self._stacks[row]
            raise DataError(
                f"{self.source}: row {row + 1:,} names image {self._slices[row] + 1:,} of {self.paths[stack]}, which "
                f"holds {sizes[stack]:,} ({len(beyond):,} such rows). Star file and stack do not belong together."
            )
        several = np.flatnonzero(~self._numbered & (sizes[self._stacks] > 1))
        if len(several):
            row = several[0]
            raise DataError(
                f"{self.source}: row {row + 1:,} names {self.paths[self._stacks[row]]} without a number, but it holds "
                f"{sizes[self._stacks[row]]:,} sections ({len(several):,} such rows). Images of a stack are named "
                "number@stack; volumes, as subtomograms are, are not read."
            )
        for path, header in zip(self.paths, self.headers, strict=True):
            if header.shape[1] != header.shape[2]:
                raise DataError(
                    f"{path}: its images are {header.shape[2]} × {header.shape[1]} pixels; they must be square."
                )


def _parse(image_names: Sequence[str], source: str) -> tuple[np.ndarray, np.ndarray, list[str], np.ndarray]:
    """Slice numbers from 0, stack numbers, the names of the stacks, and which images are named with a number."""
    slices = np.empty(len(image_names), np.int64)
    stacks = np.empty(len(image_names), np.int64)
    numbered = np.ones(len(image_names), bool)
    stack_numbers: dict[str, int] = {}
    for row, name in enumerate(image_names):
        number, at, stack = str(name).partition("@")
        if not at:
            number, stack, numbered[row] = "1", str(name), False
        # Digits of other scripts and numbers beyond any file are no numbers.
        if not (number.isascii() and number.isdigit()) or len(number) > 15 or int(number) < 1 or not stack:
            raise DataError(
                f"{source}: row {row + 1:,} has rlnImageName {str(name)[:100]!r}; it must be number@stack, counted "
                "from 1."
            )
        slices[row] = int(number) - 1
        stacks[row] = stack_numbers.setdefault(stack, len(stack_numbers))
    return slices, stacks, list(stack_numbers), numbered


def locate_stacks(names: list[str], folders: list[Path], source: str) -> list[Path]:
    """Where each of these stacks lies; `source` is the file that names them.

    In one folder alone, which somebody has named, stacks are also looked for without the folders at the start of their
    paths, those of absolute paths as well: they may have been moved there. Names of a file in Latin-1 are those of the
    same bytes on disk, or of the same letters.

    Raises DataError saying how many are absent, which is the first, and where they were looked for.
    """
    located: list[Path] = []
    absent: list[str] = []
    # Stacks of one set lie under one folder: the folder that held the last one is tried first.
    folders = list(folders)
    for name in names:
        path = Path(name)
        candidates = _candidates(path, folders)
        if not name.isascii():
            candidates += _candidates(_of_latin1_bytes(name), folders)
        hit = next((i for i, candidate in enumerate(candidates) if candidate.is_file()), None)
        if hit is None:
            absent.append(name)
            continue
        located.append(candidates[hit])
        if not path.is_absolute() and hit < len(folders):
            folders.insert(0, folders.pop(hit))
    if absent:
        looked = ", ".join(dict.fromkeys(str(folder.absolute()) for folder in folders))
        raise DataError(
            f"{source}: {len(absent):,} of {len(names):,} image stacks are absent, the first is {absent[0]} "
            f"(looked in {looked}). Set root to the project folder that the paths are relative to."
        )
    return located


def _candidates(path: Path, folders: list[Path]) -> list[Path]:
    """Where a stack may lie: in each folder first, and then, in one folder alone, without the folders of its path."""
    candidates = [path] if path.is_absolute() else [folder / path for folder in folders]
    if len(folders) == 1:
        parts = [part for part in path.parts if part != path.anchor]
        candidates += [folders[0].joinpath(*parts[start:]) for start in range(len(parts))]
    return candidates


def _of_latin1_bytes(name: str) -> Path:
    """The path whose bytes on disk are those of `name` in Latin-1, in which it was read."""
    try:
        return Path(os.fsdecode(name.encode("latin-1")))
    except UnicodeEncodeError:
        return Path(name)


def _runs(stacks: np.ndarray, slices: np.ndarray) -> list[slice]:
    """Spans of consecutive images of one stack."""
    breaks = np.flatnonzero((np.diff(stacks) != 0) | (np.diff(slices) != 1)) + 1
    edges = [0, *breaks.tolist(), len(stacks)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]
