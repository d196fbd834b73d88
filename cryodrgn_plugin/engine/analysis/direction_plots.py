"""Pictures of resolution by direction: half a sphere seen from its pole, and the curves between best and worst."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from scipy.spatial import cKDTree

from ..reconstruction.directional_fsc import DirectionalFsc
from .figure_style import DISTINCT, FAINT, GREY, INK, SEQUENTIAL, figure
from .map_plots import resolution_axis

WIDTH, HEIGHT = 8.4, 3.5
PIXELS = 240
"""Of the picture of the sphere."""
RINGS_DEG = (30, 60)
LEAST_SPAN = 0.05
"""Of the colour scale, as a share of its lower end: nearly equal directions have nearly equal colours."""


def direction_figure(file: Path, directions: DirectionalFsc) -> None:
    """Resolution over the half-sphere beside the FSC along all directions."""
    with figure(file, WIDTH, HEIGHT) as page:
        left, right = page.subplots(1, 2, width_ratios=[1, 1.35])
        draw_sphere(left, directions)
        draw_curves(right, directions)


def draw_sphere(ax: Axes, directions: DirectionalFsc) -> None:
    """Lambert's equal-area picture of the upper half-sphere, the z axis in the middle; opposite directions are one.

    Where all directions reach the end of the box their resolution is one, and the FSC there is drawn.
    """
    axis = np.linspace(-1, 1, PIXELS)
    x, y = np.meshgrid(axis, axis)
    radius2 = x**2 + y**2
    inside = radius2 <= 1
    z = 1 - radius2[inside]
    stretch = np.sqrt(1 + z)  # √2 · the unit disc, projected back
    points = np.stack([x[inside] * stretch, y[inside] * stretch, z], axis=1)
    picture = np.full(x.shape, np.nan)
    picture[inside] = _between(directions.directions, directions.quality, points)
    low, high = directions.quality.min(), directions.quality.max()
    scale = Normalize(low, max(high, low + LEAST_SPAN * abs(low), low + 1e-3))
    ax.imshow(picture, origin="lower", extent=(-1, 1, -1, 1), cmap=SEQUENTIAL, norm=scale, interpolation="bilinear")
    _rings(ax)
    worst_x, worst_y = _disc(directions.worst_direction)
    ax.plot(worst_x, worst_y, "x", color="white", ms=9, mew=3.6)
    ax.plot(worst_x, worst_y, "x", color=DISTINCT[5], ms=8, mew=2)
    end = f"{directions.worst_ang:.3g} Å"
    ax.set(title=f"FSC at {end} by direction" if directions.ends_everywhere else "resolution by direction")
    if directions.ends_everywhere:
        note = f"all directions reach {end}, where the box ends"
        ax.annotate(note, (0, -1.13), ha="center", va="top", fontsize=8, color=GREY)
    ax.set(xlim=(-1.16, 1.16), ylim=(-1.16, 1.16), aspect="equal")
    ax.set_axis_off()
    bar = ax.figure.colorbar(ScalarMappable(scale, SEQUENTIAL), ax=ax, shrink=0.8, pad=0.03)
    bar.set_label("FSC" if directions.ends_everywhere else "Å")
    ticks = np.linspace(scale.vmin, scale.vmax, 5)
    labels = [f"{tick:.2f}" if directions.ends_everywhere else f"{1 / tick:.3g}" for tick in ticks]
    bar.set_ticks(ticks, labels=labels)
    bar.outline.set_visible(False)


def draw_curves(ax: Axes, directions: DirectionalFsc, whole: tuple[np.ndarray, str] | None = None) -> None:
    """The mean of the curves, where they lie, and the worst of them; `whole`: the curve of whole shells, its colour."""
    box = 2 * (directions.curves.shape[1] - 1)
    frequency = np.arange(1, box // 2) / (box * directions.pixel_size_ang)
    curves = directions.curves[:, 1 : box // 2]
    ax.fill_between(
        frequency, curves.min(0), curves.max(0), color=DISTINCT[4], alpha=0.25, lw=0, label="all directions"
    )
    ax.plot(frequency, curves.mean(0), color=INK, lw=1.8, label=f"mean, {directions.mean_ang:.3g} Å")
    worst = int(np.argmin(directions.quality))
    ax.plot(frequency, curves[worst], color=DISTINCT[5], lw=1.5, label=f"worst, {directions.worst_ang:.3g} Å")
    if whole is not None:
        curve, colour = whole
        ax.plot(frequency, curve[1 : box // 2], color=colour, lw=1.6, label="whole shells")
    ax.axhline(directions.threshold, color=GREY, lw=0.8, ls=(0, (4, 3)))
    ax.annotate(f"{directions.threshold:g}", (0, directions.threshold), fontsize=7, color=GREY, va="bottom")
    ax.set(title="FSC by direction", xlabel="resolution (Å)", ylabel="FSC", ylim=(min(-0.08, curves.min()), 1.04))
    resolution_axis(ax, 0.5 / directions.pixel_size_ang)
    ax.grid(color=FAINT, lw=0.5)
    ax.legend(loc="best")


def _between(directions: np.ndarray, values: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Values at points of the sphere, from the nearest directions or their opposites, weighted by nearness."""
    distance, nearest = cKDTree(np.concatenate([directions, -directions])).query(points, 4)
    weight = 1 / (distance**2 + 1e-4)
    return (weight * np.tile(values, 2)[nearest]).sum(1) / weight.sum(1)


def _disc(direction: np.ndarray) -> tuple[float, float]:
    x, y, z = direction
    return x / np.sqrt(1 + z), y / np.sqrt(1 + z)


def _rings(ax: Axes) -> None:
    """Angles from the z axis, which is in the middle, and where x and y lie."""
    around = np.linspace(0, 2 * np.pi, 200)
    for angle in (*RINGS_DEG, 90):
        radius = np.sqrt(1 - np.cos(np.radians(angle)))
        edge = angle == 90
        ax.plot(radius * np.cos(around), radius * np.sin(around), color=INK if edge else "white", lw=0.8, alpha=0.8)
        if not edge:
            ax.annotate(f"{angle}°", (0, radius), color="white", fontsize=7, ha="center", va="bottom")
    for text, place in (("x", (1.09, 0)), ("y", (0, 1.09))):
        ax.annotate(text, place, ha="center", va="center", fontsize=9)
