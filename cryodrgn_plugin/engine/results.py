"""The only reader of results: what analysis, landscape and their like have left, in a run folder or outside one.

`run.results("landscape")` has the index, the arrays per particle, the maps of each series, and the path of every file.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .errors import DataError
from .io.arrays import read_arrays
from .io.reading import read_object, understood
from .io.writing import standing
from .result_kinds import KINDS, OF_CLASSES, ResultKind, half_map_names


@dataclass(frozen=True)
class Results:
    """Results of one kind. Paths are relative to the working folder where that of the run is."""

    kind: ResultKind
    folder: Path
    index: dict[str, Any]
    """What the index file says; docs/run_folder.md explains the keys of each kind."""

    @classmethod
    def open(cls, folder: str | Path, kind: str, missing: str = "") -> "Results":
        """The results of a kind in `folder`.

        Raises DataError, with the sentence `missing` where given, when there are none, when a newer version has written
        them, and when the index is damaged.
        """
        about, folder = KINDS[kind], standing(Path(folder))
        file = folder / about.index
        if not file.is_file():
            raise DataError(missing or f"{folder} has no {kind}; run {about.command} first.")
        damaged = f"{file} is damaged; run {about.command} again."
        index = read_object(file, damaged)
        schema = index.get("schema")
        if not isinstance(schema, int):
            raise DataError(damaged)
        with understood(damaged):
            _check_kinds(index)
        if schema > about.schema:
            raise DataError(
                f"{folder} was written by a newer version ({kind} schema {schema}, this one reads up to "
                f"{about.schema}); update."
            )
        return cls(about, folder, index)

    # --- files ----------------------------------------------------------------------------------------------------

    def path(self, file: str) -> str:
        """Path of a file that the index names."""
        return str(self.folder / file)

    def file(self, role: str) -> Path | None:
        """The file of a role such as particles; None where the results have none."""
        file = self.index["files"].get(role) if isinstance(self.index["files"], dict) else None
        return self.folder / str(file) if file else None

    @property
    def figures(self) -> dict[str, Path]:
        """Name to file of each figure, in order."""
        return {name: self.folder / file for name, file in self.index.get("figures", {}).items()}

    # --- per particle ---------------------------------------------------------------------------------------------

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """What is known of each particle, by name; nothing where the results are maps alone.

        Raises DataError when the file is missing or damaged.
        """
        file = self.file(self.kind.arrays[0])
        if file is None:
            return {}
        try:
            arrays = read_arrays(file, *self.kind.always)
        except FileNotFoundError:
            raise DataError(f"{file} is missing; run {self.kind.command} again.") from None
        counted = {arrays[name].shape[:1] for name in self.kind.always if name in _OF_ONE_LENGTH}
        if len(counted) > 1 or any(arrays[name].dtype.kind not in "iufb" for name in self.kind.always):
            raise DataError(
                f"{file} is damaged: its arrays are not of the same particles; run {self.kind.command} again."
            )
        return arrays

    def arrays_of(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """`arrays`, which must be of the particles at these star rows (N,). Raises DataError when they are not."""
        if self.arrays and not np.array_equal(self.arrays["rows"], rows):
            raise DataError(f"{self.folder} is of other particles than the run's latents; make it anew.")
        return self.arrays

    @property
    def labels(self) -> np.ndarray:
        """(N,) class or cluster of each latent, from 1."""
        return self.arrays["labels"] + 1

    # --- maps -----------------------------------------------------------------------------------------------------

    @property
    def all_series(self) -> list[dict[str, Any]]:
        """Every series of maps: `name`, `title`, `level`, `maps`."""
        return self.index.get("series", [])

    def series(self, name: str) -> list[dict[str, Any]]:
        """The maps of a series as the index lists them; empty when it was not made."""
        return next((series["maps"] for series in self.all_series if series["name"] == name), [])

    @property
    def class_series(self) -> dict[str, Any] | None:
        """The series with a map of each class of an analysis or cluster of a landscape; None when it was not made."""
        made = {series["name"]: series for series in self.all_series}
        return next((made[name] for name in OF_CLASSES if name in made), None)

    def half_maps(self, entry: dict[str, Any]) -> list[str]:
        """The half-maps that the index names, or that lie beside a map; none where they were not written."""
        if "half_maps" in entry:
            return [self.path(file) for file in entry["half_maps"]]
        return [self.path(half) for half in half_map_names(entry["file"]) if (self.folder / half).is_file()]

    @property
    def clusters(self) -> list[dict[str, Any]]:
        """Each class of an analysis or cluster of a landscape: `class` (from 1), `particles`, `share`, `star`, …"""
        return self.index["clusters"]


_LONGEST_NAME = 250
"""Letters that a file system takes for one name, with room for those of half-maps."""
_OF_ONE_LENGTH = ("rows", "labels", "pca", "confidence", "selected", "species", "probability")
_LISTS = ("series", "clusters")
_OF_AN_ENTRY: dict[str, type | tuple[type, ...]] = {
    "name": str, "title": str, "label": str, "file": str, "star": str, "class": int, "particles": int,
    "share": (int, float), "level": (int, float), "position": (int, float), "resolution_ang": (dict, type(None)),
    "half_maps": list, "maps": list, "z": list,
}  # fmt: skip


def _check_kinds(index: dict[str, Any]) -> None:
    """Raises ValueError where an index holds another kind of value than results have there."""
    for name in ("files", "figures"):
        named = index.get(name, {})
        if not isinstance(named, dict) or not all(isinstance(file, str) for file in named.values()):
            raise ValueError(name)
    for name in _LISTS:
        entries = index.get(name, [])
        if not isinstance(entries, list):
            continue  # a number of clusters, say
        for entry in entries:
            _check_entry(entry)
            for made_map in entry.get("maps", []):
                _check_entry(made_map)


def _check_entry(entry: Any) -> None:
    if not isinstance(entry, dict):
        raise ValueError("an entry of a list")
    for name, kind in _OF_AN_ENTRY.items():
        if name in entry and not isinstance(entry[name], kind):
            raise ValueError(name)
        if kind is str and max(map(len, entry.get(name, "").split("/"))) > _LONGEST_NAME:
            raise ValueError(name)
    limits = entry.get("resolution_ang")
    if isinstance(limits, dict) and not all(isinstance(limit, int | float | None) for limit in limits.values()):
        raise ValueError("resolution_ang")
