"""How every figure looks: quiet axes, colours that colour-blind readers can tell apart, one way to save."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..io.writing import replacing

DPI = 150

SEQUENTIAL = "viridis"
"""For densities and positions along a curve: even in lightness, legible to all and in grey."""
DIVERGING = "PuOr_r"
"""For differences: orange is density gained, purple density lost."""

DISTINCT = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#B8A800", "#444444")
"""Okabe and Ito's palette, its yellow darkened for white paper."""

INK, GREY, FAINT = "#222222", "#777777", "#dddddd"

STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "text.parse_math": False,  # names of runs and files may hold dollars
}


@contextmanager
def figure(file: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure of `width` × `height` inches, written to `file` (PNG, atomically) when the block ends."""
    with matplotlib.rc_context(STYLE):
        drawing = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(drawing)
        yield drawing
        with replacing(file) as temporary:
            drawing.savefig(temporary, dpi=DPI)


def class_colours(k: int) -> list[str]:
    """A colour per class: distinct ones for few, steps of the sequential map (classes are in order) for many."""
    if k <= len(DISTINCT):
        return list(DISTINCT[:k])
    colours = matplotlib.colormaps[SEQUENTIAL](np.linspace(0, 0.95, k))
    return [matplotlib.colors.to_hex(colour) for colour in colours]


def in_order_colours(n: int) -> list[str]:
    """Colours for the members of an ordered series."""
    return [matplotlib.colors.to_hex(c) for c in matplotlib.colormaps[SEQUENTIAL](np.linspace(0, 0.92, n))]


def without_ticks(ax: Axes) -> None:
    """An axis whose numbers mean nothing (images, UMAP)."""
    ax.set_xticks([])
    ax.set_yticks([])
