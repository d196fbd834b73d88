"""Figures of a validation, one for each question, drawn into a folder."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from ..analysis.figure_style import DISTINCT, FAINT, GREY, INK, SEQUENTIAL, class_colours, figure
from ..analysis.latent_plots import MOST_POINTS
from .agreement import Agreement
from .consensus import Consensus
from .heterogeneity import HeterogeneityTest
from .leakage import STRONG, WEAK, Leak
from .state_populations import StatePopulations

WIDTH, HEIGHT = 8.4, 3.1
OBSERVED = DISTINCT[5]
MOST_SHOWN = 10
"""Canonical correlations, or other runs' bars, in a panel."""


def chance_figure(file: Path, test: HeterogeneityTest) -> None:
    """What shuffled residuals gain, and what the images gain."""
    with figure(file, WIDTH, HEIGHT) as page:
        ax = page.subplots()
        edges = 20 if np.ptp(test.by_chance) > 0 else [test.by_chance[0] - 0.5, test.by_chance[0] + 0.5]
        ax.hist(test.by_chance, edges, color="#b9c4cc", label=f"by chance, {len(test.by_chance)} shufflings")
        ax.axvline(test.gain, color=OBSERVED, lw=2.2, label="these particles")
        ax.axvline(0, color=GREY, lw=0.8, ls=(0, (3, 3)))
        low, high = min(test.by_chance.min(), test.gain, 0), max(test.by_chance.max(), test.gain, 0)
        margin = 0.08 * (high - low) or 1.0
        ax.set_xlim(low - margin, high + margin)
        ax.set(xlabel="gain of one half's states on the other half's images, nats per image", ylabel="shufflings")
        ax.legend(loc="upper center")
        _grid(ax, "y")


def halves_figure(file: Path, agreement: Agreement, confidence: np.ndarray) -> None:
    """Both places of each particle in the best direction, all correlations, and the confidences."""
    with figure(file, WIDTH, HEIGHT) as page:
        axes = page.subplots(1, 3, width_ratios=[1.05, 1, 1])
        if agreement.first.shape[1]:
            _both_places(axes[0], agreement)
        else:
            _say(axes[0], "both halves", "no direction in common")
        _correlations(axes[1], agreement.correlation, agreement.chance)
        axes[2].hist(confidence, np.linspace(0, 1, 26), color=DISTINCT[0])
        axes[2].set(title="confidence", xlabel="confidence of a particle", ylabel="particles")
        _grid(axes[2], "y")


def _both_places(ax: Axes, agreement: Agreement) -> None:
    shown = np.random.default_rng(0).permutation(len(agreement.first))[:MOST_POINTS]
    x, y = agreement.first[shown, 0], agreement.second[shown, 0]
    low, high = np.percentile(np.r_[x, y], (0.2, 99.8))
    margin = 0.08 * (high - low)
    window = (low - margin, high + margin)
    ax.hexbin(x, y, gridsize=36, bins="log", mincnt=1, cmap=SEQUENTIAL, extent=(*window, *window), linewidths=0.1)
    ax.plot(window, window, color=GREY, lw=0.8, ls=(0, (3, 3)))
    ax.set(title="place of each particle", xlabel="by half 1", ylabel="by half 2", xlim=window, ylim=window)


def _correlations(ax: Axes, correlation: np.ndarray, chance: float) -> None:
    values = correlation[:MOST_SHOWN]
    number = np.arange(1, len(values) + 1)
    ax.bar(number, values, color=[DISTINCT[0] if value > chance else "#c8c8c8" for value in values], width=0.7)
    ax.axhline(chance, color=OBSERVED, lw=1.2, ls=(0, (4, 2)), label="chance")
    ax.set(title="agreement", xlabel="common direction", ylabel="correlation", ylim=(0, 1.2), yticks=np.arange(6) / 5)
    ax.set_xlim(0.3, max(len(values), 3) + 0.7)
    ax.set_xticks(range(1, max(len(values), 3) + 1))
    ax.legend(loc="upper right")
    _grid(ax, "y")


def leakage_figure(file: Path, leaks: Sequence[Leak], significance: float) -> None:
    """How well each quantity is predicted, beside what chance reaches."""
    with figure(file, WIDTH, 1.2 + 0.38 * len(leaks)) as page:
        ax = page.subplots()
        colours = {"none": "#b9c4cc", "weak": "#b9c4cc", "clear": DISTINCT[1], "strong": DISTINCT[5]}
        heights = np.arange(len(leaks))[::-1]
        shares = [max(leak.share, 0) for leak in leaks]
        nearby = [max(leak.nearby, 0) for leak in leaks]
        ax.barh(heights, shares, color=[colours[leak.strength(significance)] for leak in leaks], height=0.6)
        chance = [max(leak.chance, 0) for leak in leaks]
        for y, share, *others in zip(heights, shares, chance, nearby, strict=True):
            ax.annotate(f"{share:.1%}", (max(share, *others), y), (8, 0), textcoords="offset points", va="center")
        ax.scatter(
            nearby, heights, s=26, facecolor="none", edgecolor=GREY, lw=1.2, label="neighbours in the latent space"
        )
        ax.scatter(
            chance, heights, marker="|", s=130, color=INK, lw=1.4, label="chance (19 of 20 shufflings)", zorder=3
        )
        ax.axvspan(WEAK, STRONG, color=DISTINCT[1], alpha=0.07, lw=0, label="worth a look")
        ax.set_yticks(heights, [leak.name for leak in leaks], fontsize=9)
        ax.set(
            xlabel="share of its variance that lies between states",
            xlim=(0, max(1.2 * STRONG, *shares, *nearby) * 1.12),
        )
        ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        page.legend(loc="outside upper right", ncols=3)
        _grid(ax, "x")


def population_figure(file: Path, states: StatePopulations) -> None:
    """Share of each state with its interval: counted, and by likelihood."""
    m = len(states.counted.share)
    with figure(file, min(WIDTH, 3.2 + 0.55 * m), HEIGHT) as page:
        ax = page.subplots()
        number = np.arange(1, m + 1)
        ax.bar(number, states.counted.share, color=class_colours(m), alpha=0.45, width=0.8)
        kinds = (("counted", states.counted, "o", GREY), ("by likelihood", states.likely, "D", INK))
        for shift, (label, populations, marker, colour) in zip((-0.16, 0.16), kinds, strict=True):
            reach = np.stack([populations.share - populations.low, populations.high - populations.share])
            style = {"fmt": marker, "color": colour, "ms": 4, "capsize": 3, "lw": 1.4}
            ax.errorbar(number + shift, populations.share, np.maximum(reach, 0), label=label, **style)
        ax.set(xlabel="state", ylabel="share of the particles", xticks=number, ylim=(0, None))
        ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        ax.legend(loc="best")
        _grid(ax, "y")


def consensus_figure(file: Path, others: Sequence[Consensus]) -> None:
    """Canonical correlations with each other run."""
    panels = min(len(others), 4)
    rows = -(-len(others) // panels)
    with figure(file, WIDTH if panels > 1 else WIDTH / 2, HEIGHT * rows) as page:
        axes = page.subplots(rows, panels, squeeze=False).ravel()
        for ax, other in zip(axes, others, strict=False):
            _correlations(ax, other.correlation, other.chance)
            ax.set_title(Path(other.run).name)
        for ax in axes[len(others) :]:
            ax.set_visible(False)


def _say(ax: Axes, title: str, text: str) -> None:
    ax.set(title=title, xticks=[], yticks=[])
    ax.text(0.5, 0.5, text, ha="center", va="center", transform=ax.transAxes, color=GREY)


def _grid(ax: Axes, axis: str) -> None:
    ax.grid(axis=axis, color=FAINT, lw=0.6)
    ax.set_axisbelow(True)
