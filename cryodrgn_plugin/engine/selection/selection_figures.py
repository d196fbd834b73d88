"""One figure of a selection: where the particles that were taken lie, and what they were judged by."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from ..analysis.figure_style import DISTINCT, FAINT, GREY, INK, figure, without_ticks
from .columns import ParticleColumns

MOST_POINTS = 40_000
TAKEN, LEFT = DISTINCT[0], "#c8c8c8"
CUT_COLOUR = DISTINCT[5]
OUTLIERS_SHOWN = (-5.0, 20.0)
"""Range of outlier scores in the histogram; what lies beyond is counted at its ends."""


def draw_selection(
    file: Path, columns: ParticleColumns, words: Sequence[str], taken: np.ndarray, cut: float | None
) -> None:
    """Draw the particles in the latent space, and the outlier scores where there are any."""
    axes_names = _plane(columns)
    judged = columns.judged()
    panels = (axes_names is not None) + 2 * bool(judged) or 1
    with figure(file, 4.6 * panels, 4.3) as page:
        heading = f"{int(taken.sum()):,} of {len(taken):,} particles selected: {' and '.join(words) or 'at random'}"
        page.suptitle(heading, x=0.01, ha="left", fontsize=11, fontweight="bold")
        axes = list(np.atleast_1d(page.subplots(1, panels)))
        if axes_names is not None:
            _draw_plane(axes.pop(0), columns, axes_names, taken)
        if judged:
            _draw_outliers(axes.pop(0), judged["outlier"], taken, cut)
            _draw_contrast(axes.pop(0), judged["contrast"], taken)
        for ax in axes:
            _draw_counts(ax, taken)


def _plane(columns: ParticleColumns) -> tuple[str, str] | None:
    pairs = (("umap1", "umap2"), ("pc1", "pc2"))
    return next((pair for pair in pairs if set(pair) <= set(columns)), None)


def _draw_plane(ax: Axes, columns: ParticleColumns, names: tuple[str, str], taken: np.ndarray) -> None:
    shown = np.random.default_rng(0).permutation(len(taken))[:MOST_POINTS]
    x, y = columns[names[0]], columns[names[1]]
    size = float(np.clip(60_000 / max(len(shown), 1), 1.5, 14))
    for which, colour, label in ((~taken, LEFT, "left out"), (taken, TAKEN, "selected")):
        part = shown[which[shown]]
        text = f"{label}, {int(which.sum()):,}"
        ax.scatter(x[part], y[part], s=size, c=colour, alpha=0.6, linewidths=0, rasterized=True, label=text)
    ax.set(title="latent space", xlabel=names[0].upper(), ylabel=names[1].upper())
    ax.legend(loc="best", markerscale=2, fontsize=8)
    if names[0] == "umap1":
        without_ticks(ax)


def _draw_outliers(ax: Axes, outlier: np.ndarray, taken: np.ndarray, cut: float | None) -> None:
    _histogram(ax, np.clip(outlier, *OUTLIERS_SHOWN), taken)
    if cut is not None:
        ax.axvline(cut, color=CUT_COLOUR, lw=1.4)
        ax.annotate(f" cut {cut:g}", (cut, 0.97), xycoords=("data", "axes fraction"), color=CUT_COLOUR, va="top")
    beyond = int((outlier > OUTLIERS_SHOWN[1]).sum())
    note = f" (last bar: {beyond:,} beyond)" if beyond else ""
    ax.set(title="how far from the maps", xlabel=f"outlier score, standard deviations{note}", ylabel="particles")


def _draw_contrast(ax: Axes, contrast: np.ndarray, taken: np.ndarray) -> None:
    low, high = np.percentile(contrast, (0.2, 99.8))
    _histogram(ax, np.clip(contrast, low, high), taken)
    for value in (0.0, 1.0):
        ax.axvline(value, color=GREY, lw=0.8, ls=(0, (3, 3)))
    ax.set(title="how strong in the maps", xlabel="contrast (1: as the maps, 0: noise)", ylabel="particles")


def _histogram(ax: Axes, values: np.ndarray, taken: np.ndarray) -> None:
    edges = np.histogram_bin_edges(values, 70)
    ax.hist([values[taken], values[~taken]], edges, stacked=True, color=[TAKEN, LEFT], label=["selected", "left out"])
    ax.grid(axis="y", color=FAINT, lw=0.6)
    ax.set_axisbelow(True)


def _draw_counts(ax: Axes, taken: np.ndarray) -> None:
    bars = ax.bar(["selected", "left out"], [taken.sum(), (~taken).sum()], color=[TAKEN, LEFT], width=0.6)
    ax.bar_label(bars, [f"{int(bar.get_height()):,}" for bar in bars], color=INK, padding=2)
    ax.set(title="particles", ylabel="particles")
