"""What looking at a run has left, as the hosts read it: an index and arrays (docs/run_folder.md explains both)."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..engine.errors import DataError
from ..engine.io.arrays import read_arrays
from ..engine.run import Run

CLASS_SERIES = "kmeans"
CURVE_SERIES = "curve"
CLUSTER_SERIES = "clusters"
STATE_SERIES = "states"
REGRESSION_SERIES = "regression"
PATH_SERIES = "path"


@dataclass(frozen=True)
class Findings:
    """A folder of results with its index: of an analysis, a landscape, a trajectory or of states."""

    folder: Path
    index: dict[str, Any]
    """The index file, such as analysis.json."""
    embedding: dict[str, np.ndarray]
    """Arrays per particle: labels from 0, pca, umap, …; empty where the results are maps alone."""

    @classmethod
    def open(cls, folder: Path, made_by: str) -> "Findings":
        """The results in a folder. Raises DataError, naming the command `made_by`, when there are none."""
        try:
            index = json.loads((folder / f"{_STEM.get(made_by, made_by)}.json").read_text(encoding="utf-8"))
        except OSError:
            raise DataError(f"{folder.parent} has no {folder.name}; run {made_by} on it first.") from None
        embedding: dict[str, np.ndarray] = {}
        if "embedding" in index["files"]:
            embedding = read_arrays(folder / index["files"]["embedding"])
        return cls(folder, index, embedding)

    @property
    def labels(self) -> np.ndarray:
        """(N,) class of each latent, from 1."""
        return self.embedding["labels"] + 1

    def series(self, name: str) -> list[dict[str, Any]]:
        """The maps of a series as the index lists them; empty when it was not made."""
        return next((item["maps"] for item in self.index["series"] if item["name"] == name), [])

    def path(self, file: str) -> str:
        """Path of a file that the index names, relative to the working folder where the run's is."""
        return str(self.folder / file)

    def half_maps(self, entry: dict[str, Any]) -> list[str]:
        """The half-maps that the index names, or that lie beside a map; none where they were not written."""
        if "half_maps" in entry:
            return [self.path(file) for file in entry["half_maps"]]
        whole = self.folder / entry["file"]
        halves = [whole.with_name(f"{whole.stem}_half{number}{whole.suffix}") for number in (1, 2)]
        return [str(half) for half in halves if half.is_file()]


_STEM = {"analyze": "analysis", "validate": "validation"}
"""Index files that are not named after their command."""


def analysis_of(run: Run) -> Findings:
    """The analysis of a run. Raises DataError when there is none."""
    return Findings.open(run.analysis_dir, "analyze")


def landscape_of(run: Run) -> Findings:
    """The landscape of a run. Raises DataError when there is none."""
    return Findings.open(run.landscape_dir, "landscape")


def trajectory_of(run: Run, name: str) -> Findings:
    """A trajectory of a run. Raises DataError when there is none of that name."""
    return Findings.open(run.trajectory_dir(name), "trajectory")


def states_of(run: Run) -> Findings:
    """The states of a run. Raises DataError when there are none."""
    return Findings.open(run.states_dir, "states")


def validation_of(run: Run) -> Findings:
    """The validation of a run. Raises DataError when there is none."""
    return Findings.open(run.validation_dir, "validate")


def confidence_of(run: Run) -> np.ndarray | None:
    """(N,) confidence of each latent of a run, from 0 to 1; None where halves were not trained."""
    try:
        found = validation_of(run)
    except DataError:
        return None
    if "confidence" not in found.index["files"]:
        return None
    return read_arrays(found.path(found.index["files"]["confidence"]))["confidence"]
