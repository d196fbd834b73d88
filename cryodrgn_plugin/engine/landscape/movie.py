"""The movie of a trajectory: the surface of each map from two sides, and where on the path it is."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.animation import PillowWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..analysis.figure_style import FAINT, GREY, INK, STYLE, without_ticks
from ..analysis.volumes import MadeMap
from ..io.mrc import read_map
from ..io.writing import replacing
from .surface import close_up, two_views

FRAMES_PER_SECOND = 8
DPI = 90
COLOUR = (0.478, 0.651, 0.761)
"""Of the surface, as in ChimeraX scripts."""


def write_movie(
    file: Path, maps: Sequence[MadeMap], level: float, shown: np.ndarray, path: np.ndarray, names: tuple[str, str]
) -> None:
    """Write a GIF that goes along the maps and back.

    shown (n, 2) are particles in a plane whose axes `names` names, path (steps, 2) the places of the maps there.
    """
    views = [two_views(volume, level) for volume in close_up([read_map(made_map.file)[0] for made_map in maps], level)]
    # There and back, the two ends once each.
    order = [*range(len(maps)), *range(len(maps) - 2, 0, -1)]
    with matplotlib.rc_context(STYLE), replacing(file) as temporary:
        page = Figure(figsize=(8.4, 3.1), layout="constrained", dpi=DPI)
        FigureCanvasAgg(page)
        front, side, plane = page.subplots(1, 3)
        pictures = [
            ax.imshow(_coloured(view), origin="lower") for ax, view in zip((front, side), views[0], strict=True)
        ]
        for ax, title in ((front, "front"), (side, "side")):
            ax.set_title(title, fontsize=9, fontweight="normal")
            without_ticks(ax)
            ax.spines[:].set_visible(False)
        plane.scatter(*shown.T, s=1.5, color=FAINT, linewidths=0, rasterized=True)
        plane.plot(*path.T, color=GREY, lw=1)
        (dot,) = plane.plot(*path[:1].T, "o", color="#D55E00", ms=7)
        plane.set(xlabel=names[0], ylabel=names[1])
        plane.locator_params(nbins=4)
        counter = plane.set_title("", fontsize=9, color=INK)
        writer = PillowWriter(fps=FRAMES_PER_SECOND)
        # The writer judges the format by the name, which the temporary file does not have.
        gif = temporary.with_suffix(".gif")
        with writer.saving(page, str(gif), DPI):
            for k in order:
                for picture, view in zip(pictures, views[k], strict=True):
                    picture.set_data(_coloured(view))
                dot.set_data(*path[k : k + 1].T)
                counter.set_text(f"map {k + 1} of {len(maps)}")
                writer.grab_frame()
        gif.replace(temporary)


def _coloured(view: np.ndarray) -> np.ndarray:
    """(D, D, 3) in [0, 1]: the surface in its colour on white."""
    bright = np.nan_to_num(view, nan=0)[..., None]
    picture = np.where(bright < 0.6, bright / 0.6 * np.array(COLOUR), 1 - (1 - bright) / 0.4 * (1 - np.array(COLOUR)))
    picture[np.isnan(view)] = 1
    return picture
