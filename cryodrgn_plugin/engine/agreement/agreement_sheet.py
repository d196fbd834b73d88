"""The sheet of what several runs agree on: a row for each species, its map in every run side by side, and how many of
its particles all of them put there.
"""

from collections.abc import Sequence
from os.path import commonprefix
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from ..analysis.figure_style import FAINT, GREY, INK, class_colours, figure, without_ticks
from ..selection.species_sheet import broad_side, draw_picture, scale_bar
from .consensus_species import NONE
from .told_agreement import AgreedSpecies

TILE, BAR, BESIDE = 1.3, 3.0, 0.85
"""Width of a map and of the bars, and height of heads and legend, in inches."""
LEAST_WIDTH = 6.4
LEGEND = (
    "Maps of each species in the frame and hand of the one marked poses; Å: where the FSC with that falls below 0.5.\n"
    "Full bars: particles on which the runs agree that have found the species."
)
LONGEST_NAME = 14
PALE = 0.35
"""How opaque the colour of a species is where not all runs agree."""


def draw_agreement(file: Path, kinds: Sequence[AgreedSpecies], names: Sequence[str]) -> None:
    """Projections of the maps of each species in every run, in the frame of one of them and turned to its broad side;
    beside them a bar of its particles, full for those on which all runs agree."""
    rows, columns = len(kinds), len(names)
    width = max(TILE * columns + BAR, LEAST_WIDTH)
    most = max(kind.particles for kind in kinds)
    with figure(file, width, (TILE + 0.1) * rows + BESIDE) as page:
        wide = [TILE] * columns + [width - TILE * columns]
        axes = page.subplots(rows, columns + 1, squeeze=False, gridspec_kw={"width_ratios": wide})
        for line, kind, colour in zip(axes, kinds, class_colours(rows), strict=True):
            *tiles, bar = line
            like = kind.maps.volumes[kind.maps.reference]
            for which, ax in enumerate(tiles):
                _draw_map(ax, kind, which, like, colour)
            tiles[0].set_ylabel(f"{kind.number}", color=colour, fontsize=12, fontweight="bold", rotation=0, labelpad=10)
            _draw_bar(bar, kind, colour, most)
        for ax, short in zip(axes[0], _short(names), strict=False):
            ax.annotate(
                short, (0.5, 1), (0, 15), "axes fraction", "offset points", fontsize=8.5, fontweight="bold", ha="center"
            )
        page.set_layout_engine("constrained", rect=(0, 0, 1, 0.985))
        page.supxlabel(LEGEND, fontsize=7, color=GREY, x=0.01, ha="left")
        first = next((which for which, ax in enumerate(axes[0][:-1]) if ax.images), None)
        if first is not None:
            volume = kinds[0].maps.volumes[kinds[0].maps.reference]
            scale_bar(axes[0][first], len(volume), kinds[0].maps.pixel_size_ang)


def _short(names: Sequence[str]) -> list[str]:
    """Names that fit over a map: those too long without what all of them end in, or begin with."""
    if max(map(len, names)) <= LONGEST_NAME:
        return list(names)
    alike = commonprefix([name[::-1] for name in names])
    if len(alike) < min(map(len, names)):
        names = [name[: len(name) - len(alike)].rstrip("_-./ ") for name in names]
    return [name if len(name) <= LONGEST_NAME else f"…{name[1 - LONGEST_NAME :]}" for name in names]


def _draw_map(ax: Axes, kind: AgreedSpecies, which: int, like: np.ndarray, colour: str) -> None:
    """The map of one run: in a frame of the species' colour where the run found it, else of grey, or none."""
    without_ticks(ax)
    volume = kind.maps.volumes.get(which)
    if volume is None:
        ax.set_facecolor("#f4f4f4")
        ax.spines[:].set_visible(False)
        ax.set_box_aspect(1)
        ax.text(0.5, 0.5, "not found", transform=ax.transAxes, ha="center", va="center", fontsize=8, color=GREY)
        return
    draw_picture(ax, broad_side(volume, like).sum(0), colour if kind.found[which] else FAINT)
    ax.set_title(_caption(kind, which), fontsize=7, fontweight="normal", loc="center", pad=3)


def _caption(kind: AgreedSpecies, which: int) -> str:
    """Which species of the run it is, and how alike its map is to that of the reference."""
    said = f"species {kind.partner[which] + 1}" if kind.partner[which] != NONE else ""
    if which == kind.maps.reference:
        return f"{said}, poses"
    part = "" if kind.found[which] else "part: "
    return f"{part}{said}, {kind.maps.resolution_ang[which]:.3g} Å"


def _draw_bar(ax: Axes, kind: AgreedSpecies, colour: str, most: int) -> None:
    """Particles of a species: all, and those on which all runs agree."""
    ax.barh(0, kind.particles, color=colour, alpha=PALE, height=0.34)
    ax.barh(0, kind.agreed, color=colour, height=0.34)
    ax.set(xlim=(0, 1.06 * most), ylim=(-1, 1))
    without_ticks(ax)
    ax.spines[:].set_visible(False)
    found = f"found in {kind.found.sum()} of {len(kind.found)} runs"
    ax.text(0, 0.32, f"{kind.particles:,} particles, {found}", fontsize=8, color=INK, va="bottom")
    alike = "" if kind.alike_to_ang is None else f"; maps agree to {kind.alike_to_ang:.3g} Å"
    agreed = f"all agree on {kind.share_agreed:.1%}{alike}" if kind.found.sum() > 1 else "by one run alone"
    ax.text(0, -0.32, agreed, fontsize=8, color=GREY, va="top")
