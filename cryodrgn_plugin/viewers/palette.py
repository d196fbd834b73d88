"""Colours and plot manners shared by the panels of the explorer."""

import colorsys

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
SURFACE = "#7fa8d1"

# Twelve colours that stay apart on white, ordered so that neighbours differ.
CATEGORIES = (
    "#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2", "#b07aa1",
    "#edc948", "#9c755f", "#ff9da7", "#2f6f8f", "#86bc86", "#8c6bb1",
)  # fmt: skip

SEQUENTIAL = "viridis"


def category_colours(count: int) -> list[str]:
    """`count` colours for classes; beyond the hand-picked ones, evenly spaced hues."""
    if count <= len(CATEGORIES):
        return list(CATEGORIES[:count])
    rgb = (colorsys.hls_to_rgb(k / count, 0.48 + 0.12 * (k % 2), 0.55) for k in range(count))
    return ["#{:02x}{:02x}{:02x}".format(*(round(255 * part) for part in colour)) for colour in rgb]


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
