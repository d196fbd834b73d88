"""Figures of latents and training. Each `draw_…` fills one axes, so that the summary page can use it too."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import matplotlib.patheffects as effects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from .figure_style import FAINT, GREY, INK, SEQUENTIAL, class_colours, figure, without_ticks
from .latent_clusters import Clusters

MOST_POINTS = 40_000
"""More points than this in a scatter only cover each other; that many are drawn at random."""

LIMIT = "radius"
"""The figure of metrics.csv that a training in closed form has at each step: the frequency limit, a Fourier shell."""


@dataclass(frozen=True)
class Scatter:
    """Particles in a plane: positions (N, 2), names of the two axes, and whether the numbers on them mean anything."""

    positions: np.ndarray
    axes: tuple[str, str]
    metric: bool = True


def latent_figure(file: Path, scatter: Scatter, clusters: Clusters, coordinate: np.ndarray | None, title: str) -> None:
    """Density, classes and, when there is one, position along the curve, side by side; of separate states how probable
    its own is for each particle."""
    panels = 2 if coordinate is None and clusters.posterior is None else 3
    with figure(file, 4.3 * panels, 4.1) as page:
        page.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        axes = page.subplots(1, panels, sharex=True, sharey=True)
        draw_density(axes[0], scatter)
        draw_clusters(axes[1], scatter, clusters)
        if panels == 3:
            draw_along(axes[2], scatter, clusters, coordinate)
        for ax in axes[1:]:
            ax.set_ylabel("")


def draw_density(ax: Axes, scatter: Scatter) -> None:
    """Particles per hexagon, on a logarithmic scale."""
    bins = int(np.clip(np.sqrt(len(scatter.positions)) / 2, 30, 70))
    patch = ax.hexbin(*scatter.positions.T, gridsize=bins, bins="log", mincnt=1, cmap=SEQUENTIAL, linewidths=0.1)
    _frame(ax, scatter, "density")
    _colourbar(ax, patch, "particles per bin", "{x:,.0f}")


def draw_clusters(ax: Axes, scatter: Scatter, clusters: Clusters) -> None:
    """Particles coloured by class, the number of each class at the particle at its centre.

    Particles of a separate state that images tell well lie at one point, so its number stands beside it.
    """
    shown = _shown(len(scatter.positions))
    colours = class_colours(len(clusters.centres))
    x, y = scatter.positions[shown].T
    ax.scatter(x, y, c=np.array(colours)[clusters.labels[shown]], **_dots(len(shown)))
    offset = (0, 0) if clusters.posterior is None else (9, 9)
    where = {"xytext": offset, "textcoords": "offset points", "ha": "center", "va": "center"}
    for number, centre in enumerate(clusters.centres, start=1):
        text = ax.annotate(str(number), scatter.positions[centre], fontweight="bold", **where)
        text.set_path_effects([effects.withStroke(linewidth=3, foreground="white")])
    _frame(ax, scatter, "k-means classes" if clusters.posterior is None else "separate states")


def draw_along(ax: Axes, scatter: Scatter, clusters: Clusters, coordinate: np.ndarray | None) -> None:
    """Particles coloured by how probable their state is, or by their position along the curve that was found."""
    if clusters.probability is not None:
        chance = 1 / len(clusters.centres)
        _draw_values(ax, scatter, clusters.probability, (chance, 1.0), "probability of its state", "probability")
    else:
        assert coordinate is not None, "there is neither a curve nor separate states"
        low, high = np.percentile(coordinate, (1, 99))
        _draw_values(ax, scatter, coordinate, (low, high), "position along the curve", "position t")


def _draw_values(
    ax: Axes, scatter: Scatter, values: np.ndarray, ends: tuple[float, float], title: str, label: str
) -> None:
    """Particles coloured by values (N,), with `ends` those of the colours."""
    shown = _shown(len(scatter.positions))
    x, y = scatter.positions[shown].T
    patch = ax.scatter(x, y, c=values[shown], cmap=SEQUENTIAL, vmin=ends[0], vmax=ends[1], **_dots(len(shown)))
    _frame(ax, scatter, title)
    _colourbar(ax, patch, label, "{x:.3g}")


def training_figure(file: Path, metrics: Sequence[dict[str, float]]) -> None:
    """One panel per figure of metrics.csv over the epochs, or over the steps of a training in closed form."""
    names = [name for name in dict.fromkeys(key for row in metrics for key in row) if name not in ("epoch", "seconds")]
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    with figure(file, 3.6 * columns, 2.7 * rows) as page:
        axes = page.subplots(rows, columns, squeeze=False).ravel()
        for ax, name in zip(axes, names, strict=False):
            draw_metric(ax, metrics, name)
        for ax in axes[len(names) :]:
            ax.set_visible(False)


def draw_metric(ax: Axes, metrics: Sequence[dict[str, float]], name: str) -> None:
    """One figure of metrics.csv over the epochs or steps; losses are joined where they are of one frequency limit."""
    rows = [row for row in metrics if name in row]
    values = [row[name] for row in rows]
    limit = (lambda row: row.get(LIMIT)) if name == "loss" else (lambda row: None)
    for _, alike in groupby(rows, limit):
        points = [(row["epoch"], row[name]) for row in alike]
        ax.plot(*zip(*points, strict=True), color="#0072B2", lw=1.6, marker="o", ms=3)
    title = "frequency limit (shell)" if name == LIMIT else name.replace("_", " ")
    ax.set(title=title, xlabel="step" if any(LIMIT in row for row in metrics) else "epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.ticklabel_format(axis="y", useOffset=False)
    ax.grid(axis="y", color=FAINT, lw=0.6)
    if values:
        ax.annotate(
            f"{values[-1]:.4g}", (1, 1), xycoords="axes fraction", ha="right", va="bottom", fontsize=8, color=GREY
        )


def population_figure(file: Path, counts: np.ndarray) -> None:
    """Share of the particles in each class, from how many each has (k,)."""
    with figure(file, 1.6 + 0.5 * max(len(counts), 5), 3.0) as page:
        draw_populations(page.subplots(), counts)


def draw_populations(ax: Axes, counts: np.ndarray) -> None:
    """A bar per class: its share, its number of particles (k,) on top."""
    number = np.arange(1, len(counts) + 1)
    bars = ax.bar(number, counts / counts.sum(), color=class_colours(len(counts)), width=0.75)
    ax.bar_label(bars, [_short(count) for count in counts], fontsize=7, color=GREY, padding=2)
    ax.set(title="particles per class", xlabel="class", ylabel="share of particles", xticks=number)
    ax.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.margins(y=0.12)


def draw_explained(ax: Axes, explained: np.ndarray) -> None:
    """Share of the variance of the latents in each principal component, and their running sum."""
    number = np.arange(1, len(explained) + 1)
    ax.bar(number, explained, color="#0072B2", width=0.7)
    ax.plot(number, np.cumsum(explained), color=INK, marker="o", ms=3, lw=1, label="running sum")
    ax.set(title="variance of the latents", xlabel="principal component", ylabel="share of variance", ylim=(0, 1.05))
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="center right")


def _frame(ax: Axes, scatter: Scatter, title: str) -> None:
    ax.set(title=title, xlabel=scatter.axes[0], ylabel=scatter.axes[1])
    if scatter.metric:
        ax.locator_params(nbins=6)
    else:
        without_ticks(ax)
    # The outermost thousandth of the particles would squeeze the others into a corner.
    for limit, values in ((ax.set_xlim, scatter.positions[:, 0]), (ax.set_ylim, scatter.positions[:, 1])):
        low, high = np.percentile(values, (0.05, 99.95))
        margin = 0.06 * (high - low) or 1.0
        limit(low - margin, high + margin)


def _colourbar(ax: Axes, patch, label: str, form: str) -> None:
    bar = ax.figure.colorbar(patch, ax=ax, shrink=0.8, aspect=25, pad=0.02, format=StrMethodFormatter(form))
    bar.set_label(label, fontsize=8)
    bar.outline.set_visible(False)
    bar.solids.set_alpha(1)


def _shown(n: int) -> np.ndarray:
    """Particles to draw, in random order, so that no class hides another by coming later in the file."""
    return np.random.default_rng(0).permutation(n)[:MOST_POINTS]


def _dots(n: int) -> dict:
    size = float(np.clip(60_000 / max(n, 1), 1.5, 14))
    return {"s": size, "alpha": 0.8 if n < 3000 else 0.5, "linewidths": 0, "rasterized": True}


def _short(count: float) -> str:
    return f"{count / 1000:.0f}k" if count >= 10_000 else f"{count:,.0f}"
