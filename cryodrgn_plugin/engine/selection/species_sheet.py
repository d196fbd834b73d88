"""The sheet of several species: each map from its broadest side, its particles and resolution, and how sure all is."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from scipy.ndimage import affine_transform

from ..analysis.figure_style import FAINT, GREY, class_colours, figure, without_ticks
from ..analysis.map_plots import resolution_axis
from .told_species import Species

PER_ROW, LEAST_COLUMNS = 5, 3
TILE = 2.15
"""Width of a species, in inches; a picture is half as wide."""
UNSURE, UNEXPLAINED = 0.45, "#222222"
"""How opaque the colour of a species is where particles may be of another one, and the colour of outliers."""


def draw_species(file: Path, kinds: Sequence[Species], pixel_size_ang: float) -> None:
    """Projection and central section of every map, all at one scale; below them particles and FSC.

    Maps are turned so that their longest axis is upright and their shortest points at the reader.
    """
    rows = max(-(-len(kinds) // PER_ROW), 1)
    columns = max(-(-len(kinds) // rows), LEAST_COLUMNS)
    width = TILE * columns + 0.3
    below = max(2.6, 0.22 * len(kinds) + 1.2)
    above = 0.1 + 1.4 * rows
    with figure(file, width, above + below) as page:
        upper, lower = page.subfigures(2, 1, height_ratios=[above, below])
        _draw_maps(upper, kinds, pixel_size_ang, columns, rows)
        particles, curves = lower.subplots(1, 2, gridspec_kw={"width_ratios": [1, 1.15]})
        _draw_particles(particles, kinds)
        _draw_curves(curves, kinds, pixel_size_ang)


def broad_side(volume: np.ndarray, like: np.ndarray | None = None) -> np.ndarray:
    """(D, D, D) map turned about its centre of mass, which comes to the middle: its longest axis along y, its shortest
    along z. Or as the map `like` in the same frame would be turned."""
    shape = volume if like is None else like
    density = np.where(shape > 0.2 * shape.max(), shape, 0.0).astype(np.float64)
    if not density.any():
        return volume
    places = np.stack(np.indices(volume.shape), axis=-1)[density > 0].astype(np.float64)
    weights = density[density > 0]
    centre = (weights[:, None] * places).sum(0) / weights.sum()
    spread = np.cov(places.T, aweights=weights)
    axes = np.linalg.eigh(spread)[1]  # columns, the shortest first
    turn = np.stack([axes[:, 0], axes[:, 2], axes[:, 1]], axis=1)  # of z, y and x
    if np.linalg.det(turn) < 0:
        turn[:, 2] *= -1
    middle = np.full(3, volume.shape[0] // 2)
    return affine_transform(volume, turn, offset=centre - turn @ middle, order=1)


def draw_picture(ax: Axes, image: np.ndarray, colour: str) -> None:
    """A picture (D, D) of a map in greys, in a frame of a colour."""
    high = max(float(np.percentile(image, 99.8)), 1e-12)
    low = min(float(np.percentile(image, 1)), 0.0)
    ax.imshow(image, cmap="gray", vmin=low, vmax=high, origin="lower", interpolation="bilinear")
    without_ticks(ax)
    for side in ax.spines.values():
        side.set(visible=True, color=colour, linewidth=1.2)


def _draw_maps(page: SubFigure, kinds: Sequence[Species], pixel_size_ang: float, columns: int, rows: int) -> None:
    total = max(sum(kind.particles for kind in kinds), 1)
    tiles = np.atleast_1d(page.subfigures(rows, columns, wspace=0.02, hspace=0.02)).ravel()
    for tile, kind, colour in zip(tiles, kinds, class_colours(len(kinds)), strict=False):
        turned = broad_side(kind.volume)
        left, right = tile.subplots(1, 2, gridspec_kw={"wspace": 0.02})
        for ax, image in ((left, turned.sum(0)), (right, turned[len(turned) // 2])):
            draw_picture(ax, image, colour)
        share = f"{kind.particles:,} particles ({kind.particles / total:.0%})"
        reached = f", {kind.resolution_ang:.3g} Å" if kind.particles else ""
        left.set_title(f"{kind.number}", color=colour, fontsize=10, loc="left", pad=3)
        right.set_title(share + reached, fontsize=6.5, fontweight="normal", loc="right", pad=3)
    scale_bar(tiles[0].axes[0], kinds[0].volume.shape[0], pixel_size_ang)


def _draw_particles(ax: Axes, kinds: Sequence[Species]) -> None:
    """A bar of each species: particles surely its own, those that may be another's, those that no map explains."""
    for place, (kind, colour) in enumerate(zip(kinds, class_colours(len(kinds)), strict=True)):
        ax.barh(place, kind.particles, color=colour, alpha=UNSURE, height=0.7)
        ax.barh(place, kind.sure, color=colour, height=0.7)
        if kind.unexplained.any():
            ax.barh(place, kind.unexplained.sum(), color=UNEXPLAINED, height=0.2, edgecolor=UNEXPLAINED, lw=0.6)
    ax.set_yticks(range(len(kinds)), [str(kind.number) for kind in kinds])
    ax.set_ylim(max(len(kinds), LEAST_COLUMNS) - 0.4, -0.6)
    ax.set(title="particles of each species", xlabel="full: surely its own   pale: less sure   black: not explained")
    ax.xaxis.label.set_fontsize(7.5)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def _draw_curves(ax: Axes, kinds: Sequence[Species], pixel_size_ang: float) -> None:
    box = kinds[0].volume.shape[0]
    for kind, colour in zip(kinds, class_colours(len(kinds)), strict=True):
        if kind.particles:
            frequency = np.arange(len(kind.curve)) / (box * pixel_size_ang)
            ax.plot(frequency[1:-1], kind.curve[1:-1], color=colour, lw=1.2)
    ax.axhline(0.143, color=GREY, lw=0.8, ls=(0, (4, 3)))
    ax.annotate(
        "0.143", (0.99, 0.143), xycoords=("axes fraction", "data"), fontsize=7, color=GREY, va="bottom", ha="right"
    )
    ax.set(title="half-maps of each", xlabel="resolution (Å)", ylabel="FSC", ylim=(-0.08, 1.04))
    resolution_axis(ax, 0.5 / pixel_size_ang)
    ax.grid(color=FAINT, lw=0.5)


def scale_bar(ax: Axes, box: int, pixel_size_ang: float) -> None:
    """A round length, at most half of the box."""
    most = box * pixel_size_ang / 2
    power = 10 ** np.floor(np.log10(most))
    length_ang = max(step * power for step in (1, 2, 5) if step * power <= most)
    ax.plot([0.06 * box, 0.06 * box + length_ang / pixel_size_ang], [0.08 * box] * 2, color="white", lw=2)
    ax.annotate(f"{length_ang:g} Å", (0.06 * box, 0.11 * box), color="white", fontsize=6.5, va="bottom")
    ax.set(xlim=(-0.5, box - 0.5), ylim=(-0.5, box - 0.5))
