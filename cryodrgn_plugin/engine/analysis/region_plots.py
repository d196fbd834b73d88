"""How particles lie in two regions of a focus at once: whether the one says anything about the other."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from .figure_style import figure
from .latent_plots import Scatter, draw_density

MOST_PAIRS = 6


def columns_by_region(columns: Sequence[str]) -> dict[str, list[int]]:
    """The numbers of the columns of each region, `arm_1`, `arm_2`, …, by its name."""
    regions: dict[str, list[int]] = {}
    for number, column in enumerate(columns):
        regions.setdefault(column.rpartition("_")[0], []).append(number)
    return regions


def regions_figure(file: Path, z: np.ndarray, columns: Sequence[str], together: Sequence[Mapping[str, Any]]) -> None:
    """The first coordinate of every two regions against each other, with what the training says of them.

    Parameters
    ----------
    z : (N, Z) latents whose columns are called `columns`.
    together : notes of the training, of two `regions` and the `correlation` of what moves in them.
    """
    own = columns_by_region(columns)
    pairs = list(combinations(own, 2))[:MOST_PAIRS]
    told = {tuple(each["regions"]): each["correlation"] for each in together}
    with figure(file, 4.3 * min(len(pairs), 3), 4.1 * -(-len(pairs) // 3)) as page:
        page.suptitle("latents, region against region", x=0.01, ha="left", fontsize=11, fontweight="bold")
        axes = np.atleast_1d(page.subplots(-(-len(pairs) // 3), min(len(pairs), 3))).ravel()
        for ax, (first, second) in zip(axes, pairs, strict=False):
            draw_density(ax, Scatter(z[:, [own[first][0], own[second][0]]], (first, second)))
            if (first, second) in told:
                ax.set_title(f"correlation {told[first, second]:.2f}", fontsize=9)
        for ax in axes[len(pairs) :]:
            ax.set_axis_off()
