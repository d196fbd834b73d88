"""What looking at a run has found, as the explorer's content: projections, colourings, maps and figures."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..convert import confidence_of
from ..engine.errors import DataError
from ..engine.result_kinds import (
    CLASS_SERIES,
    CLUSTER_SERIES,
    CURVE_SERIES,
    PATH_SERIES,
    REGRESSION_SERIES,
    STATE_SERIES,
)
from ..engine.results import Results
from ..engine.run import Run
from ..engine.selection.export import Selection
from . import palette
from .atoms_content import AtomsContent
from .colouring import Colouring
from .content import Content, MapEntry, Projection

TRAJECTORY, SELECTION = "path", "selected"
"""Names that the protocols give to theirs."""
CHOICES = ("left out", "selected")


def add_findings(content: Content, run: Run, first: str) -> None:
    """Add the results that are in a run; those of the kind `first` come before the others."""
    adders = sorted(_ADDERS.items(), key=lambda item: item[0] != first)
    projections: list[Projection] = []
    colourings: list[Colouring] = []
    for _, add in adders:
        try:
            more_projections, more_colourings = add(content, run)
        except DataError:
            continue
        projections += more_projections
        colourings += more_colourings
    confidence = confidence_of(run)
    if confidence is not None:
        colourings.append(Colouring("confidence", confidence))
    content.projections[:0] = projections
    content.colourings[:0] = colourings


Pictured = tuple[list[Projection], list[Colouring]]


def _add_analysis(content: Content, run: Run) -> Pictured:
    results = run.results("analysis")
    _add_maps(content, results)
    if not results.arrays:
        return [], []
    projections = _components(results, "PC")
    if "umap" in results.arrays:
        projections.append(Projection("UMAP", results.arrays["umap"], "UMAP 1", "UMAP 2"))
    return projections, _class_colourings(results, "class")


def _add_landscape(content: Content, run: Run) -> Pictured:
    results = run.results("landscape")
    _add_maps(content, results)
    colourings = _class_colourings(results, "cluster")
    if "state" in results.arrays:
        titles = {series["name"]: series["title"] for series in results.all_series}
        states = results.arrays["state"] + 1
        colourings.append(Colouring("state", states, categorical=True, series=titles.get(STATE_SERIES, "")))
    return _components(results, "volume PC"), colourings


def _class_colourings(results: Results, word: str) -> list[Colouring]:
    """By class and, where classes are separate states, by how probable its class is for a particle."""
    series = results.class_series
    colourings = [Colouring(word, results.labels, categorical=True, series=series["title"] if series else "")]
    if "class_probability" in results.arrays:
        colourings.append(Colouring(f"probability of its {word}", results.arrays["class_probability"]))
    return colourings


def _add_states(content: Content, run: Run) -> Pictured:
    _add_maps(content, run.results("states"))
    return [], []


def _add_trajectory(content: Content, run: Run) -> Pictured:
    _add_maps(content, run.results("trajectory", TRAJECTORY))
    return [], []


def _add_selection(content: Content, run: Run) -> Pictured:
    selection = Selection.open(run, SELECTION)
    content.pictures.append(("selection", str(selection.results.file("figure"))))
    return [], [Colouring("selected", selection.selected.astype(int) + 1, categorical=True, words=CHOICES)]


def _add_species(content: Content, run: Run) -> Pictured:
    results = run.results("species")
    content.pictures += [(name, str(file)) for name, file in results.figures.items()]
    arrays = results.arrays
    colourings = [Colouring("species", arrays["species"], categorical=True)]
    return [], [*colourings, Colouring("probability of its species", arrays["probability"])]


def _add_atoms(content: Content, run: Run) -> Pictured:
    results = run.results("atoms")
    _add_maps(content, results)
    content.atoms = AtomsContent.of(run, results)
    if corrected := results.file("corrected"):
        content.maps.append(_corrected_entry(results, str(corrected)))
    colourings = []
    for part in range(results.arrays["occupancy"].shape[1]):
        colourings.append(Colouring(f"occupancy of part {part + 1}", results.arrays["occupancy"][:, part]))
        if part:
            colourings.append(Colouring(f"turn of part {part + 1} (degrees)", results.arrays["turns_deg"][:, part]))
    return [], colourings


def _corrected_entry(results: Results, path: str) -> MapEntry:
    """The map of all particles with the motion of the parts undone."""
    corrected = results.index["corrected"]
    whole = corrected["parts"][0]
    return MapEntry(
        series="motion undone",
        label="all particles",
        path=path,
        colour=palette.SURFACE,
        level=corrected["level"],
        fsc=np.array(whole["fsc"]) if "fsc" in whole else None,
        resolution_ang=whole["resolution_ang"],
    )


_ADDERS: dict[str, Callable[[Content, Run], Pictured]] = {
    "selection": _add_selection,
    "species": _add_species,
    "analysis": _add_analysis,
    "landscape": _add_landscape,
    "states": _add_states,
    "atoms": _add_atoms,
    "trajectory": _add_trajectory,
}


def _components(results: Results, name: str) -> list[Projection]:
    """The first three principal components, two by two."""
    scores, explained = results.arrays["pca"], results.index["pca"]["explained"]
    projections = []
    for i, j in itertools.combinations(range(min(scores.shape[1], 3)), 2):
        names = [f"{name}{k + 1} ({explained[k]:.0%})" for k in (i, j)]
        projections.append(Projection(f"{name}{i + 1} – {name}{j + 1}", scores[:, [i, j]], *names))
    return projections


def _add_maps(content: Content, results: Results) -> None:
    """The maps and figures that an index names."""
    for series in results.all_series:
        colours = _series_colours(series["name"], len(series["maps"]))
        content.maps += [
            _entry(results, series, entry, colour) for entry, colour in zip(series["maps"], colours, strict=True)
        ]
    content.pictures += [(name.replace("_", " "), str(file)) for name, file in results.figures.items()]
    if "box" in results.index:
        content.pixel_size_ang = results.index["pixel_size_ang"]
        fact = f"maps of {results.index['box']} px, {content.pixel_size_ang:.2f} Å per pixel"
        content.facts = list(dict.fromkeys([*content.facts, fact]))


def _entry(results: Results, series: dict[str, Any], entry: dict[str, Any], colour: str) -> MapEntry:
    return MapEntry(
        series=series["title"],
        label=entry["label"],
        path=results.path(entry["file"]),
        colour=colour,
        level=series["level"],
        particle=entry.get("particle"),
        z=np.array(entry["z"]),
        fsc=None if entry["fsc"] is None else np.array(entry["fsc"]),
        resolution_ang=entry["resolution_ang"] and entry["resolution_ang"]["0.143"],
        expected_fsc=None if entry.get("expected_fsc") is None else np.array(entry["expected_fsc"]),
        expected_ang=entry.get("expected_resolution_ang"),
    )


def _series_colours(name: str, count: int) -> list[str]:
    """Class maps in the colours of the classes; walks from one end of a colour scale to the other."""
    if name in (CLASS_SERIES, CLUSTER_SERIES, STATE_SERIES, REGRESSION_SERIES):
        return palette.category_colours(count)
    return palette.sequential_colours(count, palette.SEQUENTIAL if name in (CURVE_SERIES, PATH_SERIES) else "cividis")
