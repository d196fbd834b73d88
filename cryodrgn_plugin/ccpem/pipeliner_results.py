"""What Doppio shows of a finished job: facts and classes, the latent space, maps, and the log and page as files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pipeliner.display_tools import create_results_display_object, make_maps_slice_montage_and_3d_display
from pipeliner.results_display_objects import ResultsDisplayObject

from ..engine.run import Run

MOST_POINTS = 5000
"""Particles in the picture of the latent space, drawn at random from more."""
MOST_MAPS = 12
"""Maps that are shown; all are nodes."""


def what_was_made(job: str) -> dict[str, Any]:
    """What job.json says of a finished job; nothing where there is none."""
    file = Path(job) / "job.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def displayed(job: str) -> list[ResultsDisplayObject]:
    """The display objects of a job, in the order in which they are shown.

    Parameters
    ----------
    job : the job's folder relative to the project, which is the working folder.
    """
    told = what_was_made(job)
    if not told:
        return []
    log = str(Path(job) / "logfile.pdf")
    shown = [_facts(told, log), *_table(told, log), *_latent_space(told, log), *_maps(told, job)]
    shown.append(create_results_display_object("pdffile", file_path=log, title="Log"))
    page = Path(job) / "validation.html"
    if page.is_file():
        about = {"title": "Validation", "html_file": str(page), "associated_data": [str(page)]}
        shown.append(create_results_display_object("html", **about))
    return shown


def _facts(told: dict[str, Any], log: str) -> ResultsDisplayObject:
    """What the first page of the log says."""
    about = {"title": "What was done", "headers": ["", " "], "table_data": told["facts"], "associated_data": [log]}
    return create_results_display_object("table", **about)


def _table(told: dict[str, Any], log: str) -> list[ResultsDisplayObject]:
    """The table of the log: classes, or states."""
    if len(told["table"]) < 2:
        return []
    heads, *rows = told["table"]
    about = {"title": "Maps", "headers": heads, "table_data": rows, "associated_data": [log]}
    return [create_results_display_object("table", **about)]


def _latent_space(told: dict[str, Any], log: str) -> list[ResultsDisplayObject]:
    """The particles on the first two axes of the latent space, coloured by class."""
    points = _points(told)
    if points is None:
        return []
    chosen = np.sort(np.random.default_rng(0).permutation(len(points))[:MOST_POINTS])
    part = points.iloc[chosen]
    of_all = "" if len(part) == len(points) else f", {len(part):,} of {len(points):,} particles"
    across, up, *classes = part.columns
    about = {"title": f"Latent space{of_all}", "x": across, "y": up, "associated_data": [log]}
    return [create_results_display_object("plotlyscatter", data=part, color=classes[0] if classes else None, **about)]


def _points(told: dict[str, Any]) -> pd.DataFrame | None:
    """Two coordinates of each particle and, where there are clusters or states, its class; None without a space."""
    if "clusters" not in told or not told.get("classes"):
        return None
    run = Run.open(told["run"])
    if run.config.z_dim == 0:
        return None
    if told["clusters"]:
        results = run.results("landscape" if told["task"] == "landscape" else "analysis")
        return _frame(results.arrays["pca"], "PC").assign(**{"class": results.labels.astype(str)})
    return _frame(run.latents().z, "z")


def _frame(coordinates: np.ndarray, name: str) -> pd.DataFrame:
    """(N, Z) coordinates as a table of the first two; a single one stands beside nothing."""
    padded = np.pad(coordinates, ((0, 0), (0, max(0, 2 - coordinates.shape[1]))))[:, :2].astype(float)
    return pd.DataFrame(padded, columns=[f"{name} 1", f"{name} 2"])


def _maps(told: dict[str, Any], job: str) -> list[ResultsDisplayObject]:
    """Slices of the maps, and each in three dimensions."""
    maps = [node["path"] for node in told["nodes"] if node["kind"] == "map"][:MOST_MAPS]
    return make_maps_slice_montage_and_3d_display({path: Path(path).name for path in maps}, job) if maps else []
