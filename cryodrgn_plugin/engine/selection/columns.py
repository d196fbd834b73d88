"""What is known of each particle of a run, as named columns: latents, analysis, confidence, star file.

`z1` …: latents. `coordinate`, `uncertainty`: where the run has them. `pc1` …, `umap1`, `umap2`, `cluster` (from 1):
from RUN/analysis, with `cluster_probability` where classes are separate states. `volume_cluster`, `state` (from 1),
`vpc1` …: from RUN/landscape. `confidence`: from RUN/validation.
`likelihood`, `outlier`: by judging the images against the maps (`junk`), when they are asked for. `row`: the star row,
from 0. And the star file's columns by their own names.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..analysis.embed import principal_components
from ..analysis.run_particles import particles_of
from ..errors import DataError
from ..latents import Latents
from ..run import Run

if TYPE_CHECKING:
    from .junk import Judgement

JUDGED = ("likelihood", "outlier")


class ParticleColumns(Mapping[str, np.ndarray]):
    """Name to (N,) values, in the order of the run's latents. Values are read when they are asked for.

    `judge` makes the judgement of all particles; it is called at most once, and only for the columns that need it.
    """

    def __init__(self, run: Run, frame: pd.DataFrame, judge: Callable[[], "Judgement"]) -> None:
        self._run, self._frame, self._judge = run, frame, judge
        self.latents: Latents = run.latents()

    @property
    def n(self) -> int:
        return len(self.latents.rows)

    def __getitem__(self, name: str) -> np.ndarray:
        if name in JUDGED:
            return getattr(self.judgement, name)
        if name in self._found:
            return self._found[name]
        if name in self._frame:
            return self._frame[name].to_numpy()
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        yield from self._found
        yield from JUDGED
        yield from (name for name in self._frame if name not in self._found)

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in JUDGED or name in self._found or name in self._frame

    @cached_property
    def judgement(self) -> "Judgement":
        """What the images say of each particle; made on first use."""
        return self._judge()

    def judged(self) -> dict[str, np.ndarray]:
        """The judgement as columns, if it was asked for until now; else none."""
        if "judgement" not in self.__dict__:
            return {}
        return {
            name: getattr(self.judgement, name).astype(np.float32) for name in ("outlier", "contrast", "likelihood")
        }

    def needed(self, name: str, why: str) -> np.ndarray:
        """A column that a choice rests on. Raises DataError with what has to be run first where it is not there."""
        if name in self:
            return self[name]
        first = "validate" if name == "confidence" else "analyze"
        raise DataError(f"{self._run.path} has no {name}, which {why} needs; run `cryodrgn-plugin {first}` first.")

    @cached_property
    def _found(self) -> dict[str, np.ndarray]:
        latents = self.latents
        columns = {"row": latents.rows, **_numbered("z", latents.z)}
        for name in ("coordinate", "uncertainty"):
            if getattr(latents, name) is not None:
                columns[name] = getattr(latents, name)
        return columns | self._of_analysis() | self._of_landscape() | self._of_validation()

    def _of_analysis(self) -> dict[str, np.ndarray]:
        stored = self._run.per_particle("analysis", self.latents.rows)
        if not stored:
            return _numbered("pc", principal_components(self.latents.z).scores) if self.latents.z.shape[1] else {}
        columns = {"cluster": stored["labels"] + 1, **_numbered("pc", stored["pca"])}
        if "class_probability" in stored:
            columns["cluster_probability"] = stored["class_probability"]
        return columns | (_numbered("umap", stored["umap"]) if "umap" in stored else {})

    def _of_landscape(self) -> dict[str, np.ndarray]:
        stored = self._run.per_particle("landscape", self.latents.rows)
        if not stored:
            return {}
        columns = {"volume_cluster": stored["labels"] + 1, **_numbered("vpc", stored["pca"])}
        return columns | ({"state": stored["state"] + 1} if "state" in stored else {})

    def _of_validation(self) -> dict[str, np.ndarray]:
        stored = self._run.per_particle("validation", self.latents.rows)
        return {"confidence": stored["confidence"]} if stored else {}


def known_columns(run: Run) -> ParticleColumns:
    """What is known of the particles of a run without a look at their images. Raises DataError without latents, and for
    the columns that need such a look."""

    def judge() -> "Judgement":
        raise DataError("How well maps explain the images is found out by `cryodrgn-plugin select --junk`.")

    return ParticleColumns(run, particles_of(run).frame, judge)


def annotations(columns: ParticleColumns, lines: np.ndarray, n: int) -> dict[str, np.ndarray]:
    """Columns for a file of `n` rows, of which `lines` (N,) are the particles: what the run knows of each.

    Rows of other particles hold nan, or class 0.
    """
    latents = [f"z{d}" for d in range(1, columns.latents.z.shape[1] + 1)]
    names = latents + [name for name in ("coordinate", "uncertainty", "cluster", "confidence") if name in columns]
    annotated = {name: columns[name] for name in names} | columns.judged()
    added = {}
    for name, values in annotated.items():
        column = np.full(n, 0 if name == "cluster" else np.nan, values.dtype)
        column[lines] = values
        added["cryodrgn" + (f"Latent{name[1:]}" if name in latents else name.capitalize())] = column
    return added


def n_clusters(run: Run) -> int:
    """How many classes the analysis of a run has; 0 without one."""
    return len(run.results("analysis").clusters) if run.has_results("analysis") else 0


def _numbered(prefix: str, values: np.ndarray) -> dict[str, np.ndarray]:
    return {f"{prefix}{k}": column for k, column in enumerate(values.T, start=1)}
