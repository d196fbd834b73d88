"""An analysis folder as the hosts read it: analysis.json and embedding.npz (docs/run_folder.md explains both)."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..engine.errors import DataError
from ..engine.run import Run

CLASS_SERIES = "kmeans"
CURVE_SERIES = "curve"


@dataclass(frozen=True)
class Analysis:
    """What `analyze` found in a run."""

    folder: Path
    index: dict[str, Any]
    """analysis.json."""
    embedding: dict[str, np.ndarray]
    """embedding.npz: labels from 0, pca, umap, coordinate; empty for a homogeneous run."""

    @classmethod
    def open(cls, run: Run) -> "Analysis":
        """The analysis in a run folder. Raises DataError when there is none."""
        folder = run.analysis_dir
        try:
            index = json.loads((folder / "analysis.json").read_text(encoding="utf-8"))
        except OSError:
            raise DataError(f"{run.path} has no analysis; run analyze on it first.") from None
        embedding: dict[str, np.ndarray] = {}
        if "embedding" in index["files"]:
            with np.load(folder / index["files"]["embedding"], allow_pickle=False) as stored:
                embedding = {name: stored[name] for name in stored.files}
        return cls(folder, index, embedding)

    @property
    def labels(self) -> np.ndarray:
        """(N,) class of each latent, from 1."""
        return self.embedding["labels"] + 1

    def series(self, name: str) -> list[dict[str, Any]]:
        """The maps of a series as analysis.json lists them; empty when it was not made."""
        return next((item["maps"] for item in self.index["series"] if item["name"] == name), [])

    def path(self, file: str) -> str:
        """Path of a file that analysis.json names, relative to the working folder where the run's is."""
        return str(self.folder / file)
