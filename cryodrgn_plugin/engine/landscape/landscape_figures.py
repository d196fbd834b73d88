"""All figures of a landscape, by name."""

from collections.abc import Sequence

from ..analysis.analysis_parts import MadeSeries
from ..analysis.map_plots import fsc_figure, montage_figure
from ..report_writer import Report
from .landscape_parts import Landscape
from .landscape_plots import clusters_figure, landscape_figure, states_figure, tree_figure, variance_figure


def draw_all(landscape: Landscape, made_series: Sequence[MadeSeries], out: Report) -> None:
    """Draw what there is data for."""
    landscape_figure(out.figure("landscape"), landscape)
    clusters_figure(out.figure("clusters"), landscape)
    if len(landscape.clusters.centres) > 1:
        means = landscape.clusters.means(landscape.space.scores)
        tree_figure(out.figure("populations"), landscape.clusters, means, landscape.shares)
    variance_figure(out.figure("variance"), landscape.space.explained)
    if landscape.states is not None and len(landscape.states.tried) > 1:
        states_figure(out.figure("states"), landscape.states)
    draw_maps(made_series, out)


def draw_maps(made_series: Sequence[MadeSeries], out: Report) -> None:
    """The half-map FSC of the series that have one, and a montage of each."""
    pixel_size_ang = out.index.get("pixel_size_ang")
    judged = [(m.series.title, m.series.labels, m.maps) for m in made_series if m.maps[0].whole is not None]
    if judged:
        fsc_figure(out.figure("fsc"), judged, pixel_size_ang)
    for m in made_series:
        montage_figure(out.figure(f"maps_{m.series.name}"), m.series.title, m.series.labels, m.maps, pixel_size_ang)
