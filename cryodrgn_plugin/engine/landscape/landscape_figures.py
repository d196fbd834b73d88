"""All figures of a landscape, by name."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..analysis.analysis_parts import MadeSeries
from ..analysis.map_plots import fsc_figure, montage_figure
from .landscape_parts import Landscape
from .landscape_plots import clusters_figure, landscape_figure, states_figure, tree_figure, variance_figure


def draw_all(found: Landscape, made: Sequence[MadeSeries], folder: Path, pixel_size_ang: float) -> dict[str, str]:
    """Draw what there is data for into `folder`; name of each figure to its file, relative to the landscape."""
    drawn: list[str] = []

    def file(name: str) -> Path:
        drawn.append(name)
        return folder / f"{name}.png"

    landscape_figure(file("landscape"), found)
    clusters_figure(file("clusters"), found)
    k = len(found.clusters.centres)
    if k > 1:
        means = np.stack([found.space.scores[found.clusters.labels == c].mean(axis=0) for c in range(k)])
        tree_figure(file("populations"), found.clusters, means, found.shares)
    variance_figure(file("variance"), found.space.explained)
    if found.states is not None and len(found.states.tried) > 1:
        states_figure(file("states"), found.states)
    draw_maps(file, made, pixel_size_ang)
    return {name: f"figures/{name}.png" for name in drawn}


def draw_maps(file, made: Sequence[MadeSeries], pixel_size_ang: float) -> None:
    """The half-map FSC of the series that have one, and a montage of each; `file(name)` gives where to."""
    judged = [(m.series.title, m.series.labels, m.maps) for m in made if m.maps[0].whole is not None]
    if judged:
        fsc_figure(file("fsc"), judged, pixel_size_ang)
    for m in made:
        montage_figure(file(f"maps_{m.series.name}"), m.series.title, m.series.labels, m.maps, pixel_size_ang)
