"""One page that says what a run has found, for a lab book or a host's log viewer."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap

import numpy as np

from .embed import Pca
from .figure_style import DISTINCT, GREY, figure
from .latent_clusters import Clusters
from .latent_plots import Scatter, draw_along, draw_clusters, draw_density, draw_explained, draw_populations
from .map_plots import EXPECTED, HALF_MAPS, PER_ROW, draw_fsc, draw_montage, head
from .volumes import MadeMap

WIDTH = 8.27
"""Of the page, in inches."""
LINE_LENGTH, LINE_HEIGHT = 130, 0.17
"""Of what is cautioned against, in letters and inches."""
WARNING = DISTINCT[5]
LEAST_COLUMNS = 7
"""Fewer maps are drawn at this size and leave the rest of the line empty, so that the page stays a page."""


def summary_figure(
    file: Path,
    *,
    heading: str,
    lines: Sequence[str],
    cautions: Sequence[str],
    scatter: Scatter,
    pca: Pca,
    clusters: Clusters,
    counts: np.ndarray,
    coordinate: np.ndarray | None,
    maps: tuple[str, Sequence[str], Sequence[MadeMap]] | None,
    pixel_size_ang: float | None,
) -> None:
    """One A4 page: what was run, the latents, the classes, and one series of maps with its FSC."""
    warned = [line for caution in cautions for line in wrap(caution, LINE_LENGTH)]
    heights = [1.0 + LINE_HEIGHT * len(warned), 3.7, 2.7]
    if maps:
        chosen = np.unique(np.linspace(0, len(maps[2]) - 1, min(len(maps[2]), PER_ROW)).round().astype(int))
        columns = max(len(chosen), LEAST_COLUMNS)
        heights.append(1.0 + 3 * WIDTH / columns)
    with figure(file, WIDTH, sum(heights)) as page:
        parts = page.subfigures(len(heights), 1, height_ratios=heights)
        _write(parts[0], heading, lines, warned)
        _latents(parts[1], scatter, clusters, coordinate)
        curves = next((kind for kind in (EXPECTED, HALF_MAPS) if maps and kind.of(maps[2])), None)
        axes = parts[2].subplots(1, 3 if curves else 2)
        draw_populations(axes[0], counts)
        draw_explained(axes[1], pca.explained)
        if maps is None:
            return
        title, labels, made_maps = maps
        if curves:
            draw_fsc(axes[2], curves.name, made_maps, pixel_size_ang, curves)
        head(parts[3], title, made_maps)
        shown = [made_maps[k] for k in chosen]
        draw_montage(parts[3], [labels[k] for k in chosen], shown, made_maps, pixel_size_ang, columns)


def _write(part, heading: str, lines: Sequence[str], warned: Sequence[str]) -> None:
    """The heading, what was run, and below it in another colour what to be careful with."""
    height = 1.0 + LINE_HEIGHT * len(warned)
    part.text(0.02, 1 - 0.1 / height, heading, fontsize=14, fontweight="bold", va="top")
    part.text(0.02, 1 - 0.5 / height, "\n".join(lines), fontsize=8, color=GREY, va="top", linespacing=1.5)
    part.text(0.02, 1 - 0.9 / height, "\n".join(warned), fontsize=8, color=WARNING, va="top", linespacing=1.3)


def _latents(part, scatter: Scatter, clusters: Clusters, coordinate: np.ndarray | None) -> None:
    axes = part.subplots(1, 2, sharex=True, sharey=True)
    draw_clusters(axes[0], scatter, clusters)
    if coordinate is None and clusters.posterior is None:
        draw_density(axes[1], scatter)
    else:
        draw_along(axes[1], scatter, clusters, coordinate)
