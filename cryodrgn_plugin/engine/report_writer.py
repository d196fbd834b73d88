"""The only writer of results: a folder made beside its place, with an index that names every file in it.

    with run.report("landscape", options) as out:
        out.map("mask", "mask.mrc", mask, pixel_size_ang)
        out.arrays(rows=rows, labels=labels)
        variance_figure(out.figure("variance"), explained)
        out.index["clusters"] = entries

When the block ends the folder takes the place of the one before; after an error that one stays as it was.
"""

import dataclasses
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .io.mrc import write_map
from .io.writing import explained, move_into, remove, replacing, replacing_folder, write_text
from .result_kinds import KINDS, ResultKind, half_map_names

FIGURES = "figures"
NAMING_FILES = ("files", "figures", "series", "clusters")
FILE_ENDINGS = (".mrc", ".star", ".cs", ".csg", ".npz", ".png", ".cxc", ".gif", ".html", ".cif")
"""Under these keys of an index, a text with one of these endings is a file of the results."""


class Report:
    """Results while they are being made."""

    def __init__(
        self, kind: ResultKind, folder: Path, destination: Path, options: Any, subject: Mapping[str, Any]
    ) -> None:
        self.kind = kind
        self.folder = folder
        """Where files are written now."""
        self.destination = destination
        """Where they will be."""
        self.index: dict[str, Any] = {"schema": kind.schema, **subject, "options": dataclasses.asdict(options)}
        """What the index file will hold, in this order. `files` and `figures` stand where they are first used."""
        self.unlisted: set[str] = set()
        """Files and folders of others that go with the results and that the index does not name."""
        self.sentences: list[str] = []
        """For the run's log, once the results are in place."""
        self.conclusion = f"The {kind.name} is in {destination}."
        """The last of them."""

    @property
    def index_file(self) -> Path:
        """The index, when the results are in place."""
        return self.destination / self.kind.index

    @property
    def files(self) -> dict[str, str]:
        """Role to file, as the index has them."""
        return self.index.setdefault("files", {})

    def file(self, role: str, name: str) -> Path:
        """Where to write the file `name`, which the index lists under its role."""
        self.files[role] = name
        return self.folder / name

    def figure(self, name: str) -> Path:
        """Where to draw a figure, which the index lists by its name."""
        drawn = f"{FIGURES}/{name}.png"
        self.index.setdefault("figures", {})[name] = drawn
        return self.folder / drawn

    def series_folder(self, name: str) -> Path:
        """Where to write the maps of a series, which the index lists under `series`."""
        return self.folder / "volumes" / name

    def arrays(self, **arrays: np.ndarray) -> None:
        """Write the arrays of the results, such as (N, …) values per particle, as the npz that their kind has."""
        with replacing(self.file(*self.kind.arrays)) as temporary:
            np.savez(temporary, **arrays)

    def map(self, role: str, name: str, volume: np.ndarray, pixel_size_ang: float) -> None:
        """Write a map (D, D, D)."""
        write_map(self.file(role, name), volume, pixel_size_ang)

    def text(self, role: str, name: str, content: str) -> None:
        """Write a text file."""
        write_text(self.file(role, name), content)

    def relative(self, file: Path) -> str:
        """A file in `folder` as the index names it."""
        return file.relative_to(self.folder).as_posix()

    def say(self, sentence: str) -> None:
        """A line for the run's log, once the results are in place."""
        self.sentences.append(sentence)

    def finish(self) -> None:
        """Write the index. What it names must be there, and what is there must be named: half-maps by their map."""
        written = {self.relative(path) for path in self.folder.rglob("*") if path.is_file()}
        listed = {name for name in written if name.split("/")[0] not in self.unlisted and "/." not in f"/{name}"}
        named = set(_texts(self.index))
        named |= {half for name in named if name.endswith(".mrc") for half in half_map_names(name)}
        assert listed <= named, f"the {self.kind.name} does not name {sorted(listed - named)}"
        lists = (self.index.get(key, ()) for key in NAMING_FILES)
        absent = {text for part in lists for text in _texts(part) if text.endswith(FILE_ENDINGS)} - written
        assert not absent, f"the {self.kind.name} names {sorted(absent)}, which nobody has written"
        text = json.dumps(self.index, indent=2, ensure_ascii=self.kind.escaped)
        write_text(self.folder / self.kind.index, text + "\n")


@contextmanager
def report_at(destination: Path, kind: str, options: Any) -> Iterator[Report]:
    """Results that have the folder `destination` for themselves: it is replaced as a whole when the block succeeds."""
    with replacing_folder(destination) as folder:
        out = Report(KINDS[kind], folder, destination, options, {})
        yield out
        out.finish()


@contextmanager
def report_into(destination: Path, kind: str, options: Any, subject: Mapping[str, Any]) -> Iterator[Report]:
    """Results among other files in `destination`, which is made if absent.

    When the block succeeds they take the place of those before; files of others stay. `subject` is what they are of,
    which the index says before the options. Raises DataError where the folder cannot be written.
    """
    folder = destination / f".{kind}.part"
    former = _files_of(destination / KINDS[kind].index)
    with explained(destination):
        remove(folder)
        folder.mkdir(parents=True)
    try:
        out = Report(KINDS[kind], folder, destination, options, subject)
        yield out
        out.finish()
        move_into(destination, folder, last=out.kind.index)
        for name in former - set(out.files.values()):
            (destination / name).unlink(missing_ok=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _files_of(index: Path) -> set[str]:
    """The files that an index names; none where it is not there or not ours."""
    try:
        return set(json.loads(index.read_text(encoding="utf-8"))["files"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return set()


def _texts(value: Any) -> Iterator[str]:
    """All texts in a JSON value, but for keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for content in value.values():
            yield from _texts(content)
    elif isinstance(value, list | tuple):
        for content in value:
            yield from _texts(content)
