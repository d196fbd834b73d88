"""All figures of an analysis, by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..report_writer import Report
from ..result_kinds import CURVE_SERIES, STATE_SERIES
from ..run import Run
from ..run_origin import made_by
from .analysis_parts import LatentView, MadeSeries
from .direction_plots import direction_figure
from .entries import directions_of
from .latent_plots import Scatter, latent_figure, population_figure, training_figure
from .map_plots import EXPECTED, HALF_MAPS, fsc_figure, montage_figure
from .region_plots import regions_figure
from .summary import summary_figure


def draw_all(run: Run, view: LatentView | None, made_series: Sequence[MadeSeries], out: Report) -> None:
    """Draw what there is data for."""
    pixel_size_ang = out.index.get("pixel_size_ang")
    if run.metrics():
        training_figure(out.figure("training"), run.metrics())
    if view:
        coordinate = view.latents.coordinate
        latent_figure(out.figure("pca"), pca_scatter(view), view.clusters, coordinate, "latents, principal components")
        if view.umap:
            umap = Scatter(view.umap.positions, ("UMAP 1", "UMAP 2"), metric=False)
            latent_figure(out.figure("umap"), umap, view.clusters, coordinate, "latents, UMAP")
        population_figure(out.figure("populations"), view.counts)
        if view.latents.columns:
            together = run.info["notes"].get("together", [])
            regions_figure(out.figure("regions"), view.latents.z, view.latents.columns, together)
    for name, curves in (("expected_fsc", EXPECTED), ("fsc", HALF_MAPS)):
        judged = [(m.series.title, m.series.labels, m.maps) for m in made_series if curves.of(m.maps)]
        if judged:
            fsc_figure(out.figure(name), judged, pixel_size_ang, curves)
    directions = directions_of(made_series[0]) if made_series else None
    if directions is not None:
        direction_figure(out.figure("directions"), directions)
    for m in made_series:
        montage_figure(out.figure(f"maps_{m.series.name}"), m.series.title, m.series.labels, m.maps, pixel_size_ang)
    if view:
        _summary(out.figure("summary"), run, view, made_series, pixel_size_ang, out.index["cautions"])


def pca_scatter(view: LatentView) -> Scatter:
    """The first two principal components; a single latent dimension is shown against its uncertainty, if known."""
    pca, latents = view.pca, view.latents
    if pca.scores.shape[1] > 1:
        names = tuple(f"PC{k + 1} ({pca.explained[k]:.0%} of variance)" for k in range(2))
        return Scatter(pca.scores[:, :2], names)
    if latents.uncertainty is not None:
        return Scatter(np.column_stack([pca.scores[:, 0], latents.uncertainty]), ("z", "uncertainty of z"))
    spread = np.random.default_rng(0).uniform(size=len(pca.scores))
    return Scatter(np.column_stack([pca.scores[:, 0], spread]), ("z", "spread at random, to be seen"))


def _summary(
    file: Path,
    run: Run,
    view: LatentView,
    made_series: Sequence[MadeSeries],
    pixel_size_ang: float | None,
    cautions: Sequence[str],
) -> None:
    along = CURVE_SERIES if view.clusters.posterior is None else STATE_SERIES
    shown = next((m for m in made_series if m.series.name == along), made_series[0] if made_series else None)
    # UMAP tears apart what rounding alone tells apart, and particles of one state may lie at one point.
    whole = view.umap is None or view.clusters.posterior is not None
    scatter = pca_scatter(view) if whole else Scatter(view.umap.positions, ("UMAP 1", "UMAP 2"), metric=False)
    config, version = run.config, run.info["provenance"]
    made_at = version["created"].replace("T", " ")
    size = f", box {shown.maps[0].projection.shape[0]}, {pixel_size_ang:.3g} Å per pixel" if shown else ""
    lines = [
        f"{config.particles}: {len(view.latents.z):,} particles, {view.latents.z.shape[1]} latent dimensions{size}",
        f"{made_by(config, run.info)}, seed {config.seed}, version {version['version']}, {made_at}",
    ]
    summary_figure(
        file,
        heading=run.path.resolve().name,
        lines=lines,
        cautions=cautions,
        scatter=scatter,
        pca=view.pca,
        clusters=view.clusters,
        counts=view.counts,
        coordinate=view.latents.coordinate,
        maps=shown and (shown.series.title, shown.series.labels, shown.maps),
        pixel_size_ang=pixel_size_ang,
    )
