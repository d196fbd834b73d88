"""Colours and plot manners shared by the panels of the explorer."""

from collections.abc import Iterable

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

INK = "#222b36"
MUTED = "#6b7785"
FAINT = "#e3e7ec"
PAPER = "#ffffff"
ACCENT = "#b22222"
NEUTRAL = "#9fb0c3"
GREY = "#d3d8de"
SURFACE = "#7fa8d1"

# Twenty colours that stay apart on white also for who sees no red, no green or no blue: of any two the distance in
# OKLab is 0.11 or more, and 0.09 as those see them; 0.02 is just noticed.
CATEGORIES = (
    "#2d78b4", "#ffc300", "#8700d2", "#e17800", "#4bc3c3", "#961e00", "#b4e196", "#e178ff", "#4b4b96", "#a58778",
    "#00f0e1", "#a55a00", "#1e00a5", "#d21eff", "#b4b478", "#7896c3", "#693c4b", "#5a0f00", "#4b0f69", "#696969",
)  # fmt: skip

PALER = 0.6
"""How far from white the twenty-first colour is, as a part of what the first is."""

SEQUENTIAL = "viridis"


def category_colours(count: int) -> list[str]:
    """`count` colours for classes; beyond the hand-picked ones the same again, each time nearer to white."""
    colours = []
    for number in range(count):
        again, place = divmod(number, len(CATEGORIES))
        colour = as_rgb([CATEGORIES[place]])[0]
        colours.append(to_hex(1 - (1 - colour) * PALER**again))
    return colours


def as_rgb(colours: Iterable[str]) -> np.ndarray:
    """(K, 3) from 0 to 1 of colours written as #rrggbb."""
    return np.array([[int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)] for colour in colours])


def colour_scale(name: str = SEQUENTIAL, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """(256, 3) from 0 to 1: a part of one of matplotlib's colour scales."""
    return colormaps[name](np.linspace(low, high, 256))[:, :3]


def sequential_colours(count: int, name: str = SEQUENTIAL) -> list[str]:
    """`count` colours from one end of a colour scale to the other, without its darkest and brightest tips."""
    scale = colormaps[name]
    return [to_hex(scale(0.08 + 0.84 * k / max(count - 1, 1))) for k in range(count)]


def figure(width: float = 6.0, height: float = 4.5) -> Figure:
    """An empty figure on paper, in inches."""
    page = Figure(figsize=(width, height), dpi=100, facecolor=PAPER, layout="constrained")
    page.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
    return page


def tidy(axes: Axes, x: str = "", y: str = "") -> Axes:
    """Quiet spines, small ticks, named axes."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(NEUTRAL)
    axes.tick_params(colors=MUTED, labelsize=8, length=3)
    axes.set_xlabel(x, color=INK, fontsize=9)
    axes.set_ylabel(y, color=INK, fontsize=9)
    return axes


def note(axes: Axes, text: str) -> None:
    """A sentence in the middle of empty axes."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=MUTED, fontsize=10, wrap=True)
