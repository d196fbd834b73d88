"""The density of particles in a plane of the space of volumes, drawn as −ln of it, and what that is not."""

from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import StrMethodFormatter

from ..analysis.figure_style import GREY, INK

CELLS = 160
DEEPEST = 6.0
"""Densities below e⁻⁶ of the highest rest on a handful of particles; they are left white."""
CAVEAT = """\
−ln(density) would be a free energy in kT if images were independent draws from equilibrium and placed without error.
They are not: picking, ice, views and junk change populations; noise in each place fills valleys and lowers barriers."""
LETTERS_PER_INCH = 17
"""Of the caveat."""


def density_surface(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grid lines (G,), (G,) and −ln of the density relative to its highest value, (G, G) as [y, x]; nan where it is
    below e^−DEEPEST.

    A Gaussian kernel, a third as wide as Scott's rule asks for a single Gaussian, for landscapes have several valleys.
    """
    from scipy.ndimage import gaussian_filter

    edges = [_edges(values) for values in (x, y)]
    counts = np.histogram2d(y, x, bins=(edges[1], edges[0]))[0]
    widths = [_bandwidth(values) / (edge[1] - edge[0]) for values, edge in ((y, edges[1]), (x, edges[0]))]
    smooth = gaussian_filter(counts, np.maximum(widths, 0.7))
    with np.errstate(divide="ignore"):
        depth = -np.log(smooth / smooth.max())
    depth[depth > DEEPEST] = np.nan
    return *((edge[1:] + edge[:-1]) / 2 for edge in edges), depth


def draw_surface(ax: Axes, x: np.ndarray, y: np.ndarray, names: tuple[str, str], colourbar: bool = True) -> None:
    """Filled contours of −ln(density), a line per unit."""
    across, up, depth = density_surface(x, y)
    levels = np.arange(0, DEEPEST + 0.01, 0.5)
    patch = ax.contourf(across, up, depth, levels=levels, cmap="viridis_r")
    ax.contour(across, up, depth, levels=levels[::2], colors=INK, linewidths=0.3, alpha=0.6)
    ax.set(xlabel=names[0], ylabel=names[1])
    ax.locator_params(nbins=6)
    if colourbar:
        bar = ax.figure.colorbar(patch, ax=ax, shrink=0.8, aspect=25, pad=0.02, format=StrMethodFormatter("{x:g}"))
        bar.set_label("−ln(density / highest)", fontsize=8)
        bar.outline.set_visible(False)


def write_caveat(page) -> None:
    """The caveat below a figure of the surface, in lines that fit on the page."""
    letters = int(LETTERS_PER_INCH * page.get_figwidth())
    lines = [line for sentence in CAVEAT.splitlines() for line in wrap(sentence, letters)]
    page.supxlabel("\n".join(lines), fontsize=7, color=GREY, ha="left", x=0.01)


def _edges(values: np.ndarray) -> np.ndarray:
    low, high = np.percentile(values, (0.05, 99.95))
    margin = max(0.05 * (high - low), 4 * _bandwidth(values)) or 1.0
    return np.linspace(low - margin, high + margin, CELLS + 1)


def _bandwidth(values: np.ndarray) -> float:
    quarter = np.subtract(*np.percentile(values, (75, 25))) / 1.35
    return 0.3 * (quarter or values.std() or 1.0) * len(values) ** (-1 / 6)
