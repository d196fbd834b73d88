"""Figures of a landscape. Each function writes one."""

from pathlib import Path

import matplotlib.patheffects as effects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ..analysis.figure_style import FAINT, GREY, INK, class_colours, figure
from ..analysis.latent_plots import MOST_POINTS
from ..analysis.populations import Populations
from .density import draw_surface, write_caveat
from .landscape_parts import Landscape
from .mixture import States
from .volume_clusters import VolumeClusters

SEPARATE = "separate states"
"""Particles of a state that images tell well lie at one point, which its number must not hide."""


def landscape_figure(file: Path, landscape: Landscape) -> None:
    """−ln(density) of all particles over the first components, the clusters' numbers on it."""
    pairs = _pairs(landscape)
    with figure(file, 5.4 * len(pairs), 5.0) as page:
        page.suptitle("landscape in the space of volumes", x=0.01, ha="left", fontsize=11, fontweight="bold")
        for ax, (i, j) in zip(np.atleast_1d(page.subplots(1, len(pairs))), pairs, strict=True):
            scores = landscape.space.scores
            draw_surface(ax, scores[:, i], scores[:, j], (_name(landscape, i), _name(landscape, j)))
            _write_numbers(ax, scores[landscape.clusters.centres][:, [i, j]])
        write_caveat(page)


def clusters_figure(file: Path, landscape: Landscape) -> None:
    """Particles coloured by cluster over the first components, and by state where there are several."""
    clusters, scores = landscape.clusters, landscape.space.scores
    states = clusters.posterior is not None
    numbered_at = clusters.means(scores) if states else _middles(scores, clusters.labels)
    partitions = [(SEPARATE if states else "clusters", clusters.labels, numbered_at)]
    if landscape.states is not None and landscape.states.labels.max() > 0:
        labels = landscape.states.labels
        partitions.append(("mixture states", labels, _middles(scores, labels)))
    pairs = _pairs(landscape)
    with figure(file, 4.6 * len(pairs), 4.3 * len(partitions)) as page:
        rows = page.subplots(len(partitions), len(pairs), squeeze=False)
        for (title, labels, places), line in zip(partitions, rows, strict=True):
            for ax, (i, j) in zip(line, pairs, strict=True):
                _draw_partition(ax, scores[:, [i, j]], labels)
                _write_numbers(ax, places[:, [i, j]], beside=title == SEPARATE)
                ax.set(title=title, xlabel=_name(landscape, i), ylabel=_name(landscape, j))


def tree_figure(file: Path, clusters: VolumeClusters, means: np.ndarray, shares: Populations) -> None:
    """How alike the average volumes of the clusters are, and how many particles each has, with 95 % intervals."""
    from scipy.cluster.hierarchy import dendrogram, linkage

    k = len(means)
    with figure(file, 7.6, 1.2 + 0.32 * max(k, 4)) as page:
        left, right = page.subplots(1, 2, width_ratios=[1, 1.6])
        joins = linkage(means, "average", optimal_ordering=True)
        one_colour = {"color_threshold": 0, "above_threshold_color": INK}
        tree = dendrogram(joins, orientation="left", ax=left, no_labels=True, **one_colour)
        order = np.array(tree["leaves"])
        left.set(title="likeness", xlabel="distance between average volumes", yticks=[])
        left.spines[["left"]].set_visible(False)
        heights = np.arange(k)
        right.barh(heights, shares.share[order], color=np.array(class_colours(k))[order], height=0.7)
        low, high = shares.share[order] - shares.low[order], shares.high[order] - shares.share[order]
        right.errorbar(shares.share[order], heights, xerr=[low, high], fmt="none", ecolor=INK, elinewidth=1, capsize=2)
        states = clusters.posterior is not None
        names = [f"{c + 1}{' *' if clusters.apart[c] and not states else ''}" for c in order]
        right.set_yticks(heights, labels=names)
        _write_counts(right, heights, shares.high[order], np.rint(shares.share * shares.particles)[order])
        title = "particles per state" if states else "particles per cluster (* stands apart)"
        right.set(title=title, xlabel="share of particles, 95 % interval")
        right.set_ylim(-0.7, k - 0.3)
        left.set_ylim(-2, 10 * k + 2)
        if order[0] < order[-1]:  # the lowest number on top
            left.invert_yaxis()
            right.invert_yaxis()
        right.xaxis.set_major_formatter(PercentFormatter(1))
        right.margins(x=0.12)


def variance_figure(file: Path, explained: np.ndarray) -> None:
    """Share of the variance of the masked volumes in each component, and the running sum."""
    number = np.arange(1, len(explained) + 1)
    with figure(file, 4.4, 3.0) as page:
        ax = page.subplots()
        ax.bar(number, explained, color="#0072B2", width=0.7)
        ax.plot(number, np.cumsum(explained), color=INK, marker="o", ms=3, lw=1, label="running sum")
        ax.set(title="variance of the masked volumes", xlabel="component", ylabel="share of variance", ylim=(0, 1.05))
        ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend(loc="center right")


def states_figure(file: Path, states: States) -> None:
    """How the number of mixture states was chosen."""
    numbers = [tried.states for tried in states.tried]
    with figure(file, 7.0, 2.9) as page:
        left, right = page.subplots(1, 2)
        for ax, values, title, best in (
            (left, [tried.bic for tried in states.tried], "Bayesian information criterion", min),
            (right, [tried.held_out for tried in states.tried], "log-likelihood, left out", max),
        ):
            ax.plot(numbers, values, color="#0072B2", marker="o", ms=4)
            at = values.index(best(values))
            ax.plot(numbers[at], values[at], "o", ms=10, mfc="none", mec="#D55E00", mew=1.5)
            ax.set(title=title, xlabel="states of the mixture", ylabel="per particle (nats)")
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            ax.grid(axis="y", color=FAINT, lw=0.6)


def _draw_partition(ax: Axes, positions: np.ndarray, labels: np.ndarray) -> None:
    k = int(labels.max()) + 1
    shown = np.random.default_rng(0).permutation(len(positions))[:MOST_POINTS]
    # Small clusters are drawn last, or their neighbours would hide them.
    shown = shown[np.argsort(-np.bincount(labels, minlength=k)[labels[shown]], kind="stable")]
    size = float(np.clip(60_000 / len(shown), 1.5, 14))
    colours = np.array(class_colours(k))[labels[shown]]
    ax.scatter(*positions[shown].T, c=colours, s=size, alpha=0.6, linewidths=0, rasterized=True)
    ax.locator_params(nbins=6)


def _middles(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(k, P) medians of the scores (N, P) of each group."""
    return np.array([np.median(scores[labels == c], axis=0) for c in np.unique(labels)])


def _write_numbers(ax: Axes, positions: np.ndarray, beside: bool = False) -> None:
    """Numbers from 1 at positions (k, 2), or `beside` them, where they hide no particles."""
    offset = {"xytext": (9, 9) if beside else (0, 0), "textcoords": "offset points", "ha": "center", "va": "center"}
    for number, position in enumerate(positions, start=1):
        text = ax.annotate(str(number), position, fontsize=8, fontweight="bold", **offset)
        text.set_path_effects([effects.withStroke(linewidth=2.5, foreground="white")])


def _write_counts(ax: Axes, heights: np.ndarray, ends: np.ndarray, sizes: np.ndarray) -> None:
    for height, end, size in zip(heights, ends, sizes, strict=True):
        where = {"xytext": (4, 0), "textcoords": "offset points", "va": "center"}
        ax.annotate(f"{size:,.0f}", (end, height), fontsize=7, color=GREY, **where)


def _pairs(landscape: Landscape) -> list[tuple[int, int]]:
    count = landscape.space.scores.shape[1]
    return [(0, 1), (0, 2)] if count > 2 else [(0, count - 1)]


def _name(landscape: Landscape, component: int) -> str:
    return f"volume PC{component + 1} ({landscape.space.explained[component]:.0%} of variance)"
