"""Figures of maps: what each looks like, what differs between them, and how far its halves agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure, SubFigure

from ..reconstruction.expectation import THRESHOLD
from .figure_style import DIVERGING, FAINT, GREY, figure, in_order_colours, without_ticks
from .volumes import THRESHOLDS, MadeMap

PER_ROW = 10
LEAST_WIDTH = 4.4
"""Of a page, in inches: the title must fit."""
ROUND_ANG = (
    *(200, 100, 50, 30, 20, 15, 12, 10, 9, 8, 7, 6, 5.5, 5, 4.5, 4, 3.5, 3.2, 3),
    *(2.8, 2.6, 2.4, 2.2, 2, 1.8, 1.6, 1.5, 1.4, 1.3, 1.2, 1.1, 1),
)
"""Resolutions that read well on an axis."""


def montage_figure(
    file: Path, title: str, labels: Sequence[str], maps: Sequence[MadeMap], pixel_size_ang: float
) -> None:
    """Projection, central section and difference of every map of a series, ten to a row."""
    blocks = [slice(start, start + PER_ROW) for start in range(0, len(maps), PER_ROW)]
    columns = min(len(maps), PER_ROW)
    with figure(file, max(0.9 + 1.25 * columns, LEAST_WIDTH), 0.9 + 3.95 * len(blocks)) as page:
        head(page, title, maps)
        for part, block in zip(np.atleast_1d(page.subfigures(len(blocks), 1)), blocks, strict=True):
            draw_montage(part, labels[block], maps[block], maps, pixel_size_ang, columns)


def draw_montage(
    page: Figure | SubFigure,
    labels: Sequence[str],
    maps: Sequence[MadeMap],
    whole: Sequence[MadeMap],
    pixel_size_ang: float,
    columns: int,
) -> None:
    """Three rows of pictures of `maps`; grey values and differences are on the scale of the `whole` series."""
    projections = np.stack([m.projection for m in whole])
    sections = np.stack([m.section for m in whole])
    mean = projections.mean(axis=0)
    rows = [
        ("projection", [m.projection for m in maps], "gray", _grey_range(projections)),
        ("section", [m.section for m in maps], "gray", _grey_range(sections)),
    ]
    if len(whole) > 1:
        most = float(np.percentile(np.abs(projections - mean), 99.7)) or 1.0
        rows.append(("less the mean", [m.projection - mean for m in maps], DIVERGING, (-most, most)))
    axes = page.subplots(len(rows), columns, squeeze=False, gridspec_kw={"wspace": 0.03, "hspace": 0.03})
    for line, (name, images, colours, (low, high)) in zip(axes, rows, strict=True):
        for ax, image in zip(line, images, strict=False):
            ax.imshow(image, cmap=colours, vmin=low, vmax=high, origin="lower", interpolation="bilinear")
            without_ticks(ax)
            ax.spines[:].set_visible(False)
        for ax in line[len(images) :]:
            ax.set_visible(False)
        line[0].set_ylabel(name, fontsize=8)
    for ax, label, made_map in zip(axes[0], labels, maps, strict=False):
        ax.set_title(_caption(label, made_map), fontsize=8 if columns < 8 else 7, fontweight="normal", loc="center")
    _scale_bar(axes[0][0], maps[0].projection.shape[0], pixel_size_ang)


@dataclass(frozen=True)
class Curves:
    """A kind of FSC curve that maps have."""

    name: str
    whole: str
    """The field of a map that has it."""
    moving: str
    """The same for the moving region."""
    thresholds: tuple[float, ...]

    def of(self, maps: Sequence[MadeMap]) -> bool:
        """Whether maps have it."""
        return getattr(maps[0], self.whole) is not None


HALF_MAPS = Curves("half-map FSC", "whole", "moving", THRESHOLDS)
EXPECTED = Curves("expected FSC to the truth", "expected", "moving_expected", (THRESHOLD,))


def fsc_figure(
    file: Path,
    series: Sequence[tuple[str, Sequence[str], Sequence[MadeMap]]],
    pixel_size_ang: float,
    curves: Curves = HALF_MAPS,
) -> None:
    """An FSC of every map, one panel per series (title, labels, maps), two panels to a row."""
    columns = min(len(series), 2)
    rows = -(-len(series) // columns)
    with figure(file, 5.2 * columns, 3.9 * rows) as page:
        axes = page.subplots(rows, columns, squeeze=False).ravel()
        for ax, (title, labels, maps) in zip(axes, series, strict=False):
            draw_fsc(ax, title, maps, pixel_size_ang, curves)
            _frequency_axis(ax)
            _key(ax, labels)
        for ax in axes[len(series) :]:
            ax.set_visible(False)


def draw_fsc(ax: Axes, title: str, maps: Sequence[MadeMap], pixel_size_ang: float, curves: Curves = HALF_MAPS) -> None:
    """FSC of the maps of a series, in the order of the colours; the frequency axis is labelled in angstrom."""
    for made_map, colour in zip(maps, in_order_colours(len(maps)), strict=True):
        box = made_map.projection.shape[0]
        for part, style in ((curves.whole, {"lw": 1.3}), (curves.moving, {"lw": 1.0, "ls": (0, (1, 1.2))})):
            if getattr(made_map, part) is not None:
                curve = getattr(made_map, part).fsc
                frequency = np.arange(len(curve)) / (box * pixel_size_ang)
                # The shell at the Nyquist frequency is empty: images are band-limited to the circle inside it.
                ax.plot(frequency[1:-1], curve[1:-1], color=colour, **style)
    for threshold in curves.thresholds:
        ax.axhline(threshold, color=GREY, lw=0.8, ls=(0, (4, 3)))
        where = {"xycoords": ("axes fraction", "data"), "va": "bottom", "ha": "left"}
        ax.annotate(f"{threshold}", (0.01, threshold), fontsize=7, color=GREY, **where)
    if any(getattr(made_map, curves.moving) is not None for made_map in maps):
        note = "solid: whole map\ndotted: moving region"
        ax.annotate(note, (0.01, 0.02), xycoords="axes fraction", fontsize=7, color=GREY, va="bottom")
    ax.set(title=title, xlabel="resolution (Å)", ylabel=curves.name, ylim=(-0.08, 1.04))
    resolution_axis(ax, 0.5 / pixel_size_ang)
    ax.grid(color=FAINT, lw=0.5)


def resolution_axis(ax: Axes, highest: float, least_gap: float = 0.085) -> None:
    """Label a frequency axis that ends at `highest` (1/Å) with resolutions in Å, this share of its length apart."""
    ticks = _round_resolutions(highest, least_gap)
    ax.set_xlim(0, highest)
    ax.set_xticks([1 / tick for tick in ticks], [f"{tick:g}" for tick in ticks])


def _round_resolutions(highest: float, least_gap: float) -> list[float]:
    """The `ROUND_ANG` whose labels have room on an axis that ends at the frequency `highest`, coarse to fine."""
    chosen: list[float] = []
    for resolution in ROUND_ANG:
        room = 1 / resolution - (1 / chosen[-1] if chosen else 0)
        if 1 / resolution <= highest and room >= least_gap * highest:
            chosen.append(resolution)
    return chosen


def _frequency_axis(ax: Axes) -> None:
    upper = ax.secondary_xaxis("top", functions=(lambda f: f, lambda f: f))
    upper.set_xlabel("spatial frequency (1/Å)", fontsize=8)
    upper.spines["top"].set_visible(True)


def _key(ax: Axes, labels: Sequence[str]) -> None:
    """A bar beside the axes that names the colour of every map."""
    n = len(labels)
    mapping = ScalarMappable(BoundaryNorm(np.arange(n + 1) - 0.5, n), ListedColormap(in_order_colours(n)))
    bar = ax.figure.colorbar(mapping, ax=ax, fraction=0.05, aspect=max(n, 2) * 1.5, pad=0.02)
    named = np.unique(np.linspace(0, n - 1, min(n, 20)).round().astype(int))
    bar.set_ticks(named, labels=[labels[k] for k in named])
    bar.minorticks_off()
    bar.ax.tick_params(length=0, labelsize=7)
    bar.outline.set_visible(False)


def head(page: Figure | SubFigure, title: str, maps: Sequence[MadeMap]) -> None:
    """The title of a montage, and below it what its captions state."""
    stated = ""
    if maps[0].whole is not None:
        regions = "whole map" if maps[0].moving is None else "whole map | moving region"
        stated = f"\nÅ at {'half-map FSC 0.143' if maps[0].expected is None else 'expected FSC 0.5'}: {regions}"
    page.suptitle(f"maps {title}{stated}", x=0.015, ha="left", fontsize=9, fontweight="bold")


def _caption(label: str, made_map: MadeMap) -> str:
    limits = [part.resolution_ang["0.143"] for part in (made_map.whole, made_map.moving) if part is not None]
    if made_map.expected is not None:
        both = made_map.expected_resolution_ang, made_map.moving_expected_resolution_ang
        limits = [limit for limit in both if limit is not None]
    return f"{label}\n{' | '.join(f'{limit:#.3g}' for limit in limits)} Å" if limits else label


def _grey_range(images: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(images, (1, 99.8))
    return float(low), float(high if high > low else low + 1)


def _scale_bar(ax: Axes, box: int, pixel_size_ang: float) -> None:
    """A round length, at most a third of the box."""
    target = box * pixel_size_ang / 3
    power = 10 ** np.floor(np.log10(target))
    length_ang = max(step * power for step in (1, 2, 5) if step * power <= target)
    length_px = length_ang / pixel_size_ang
    x, y = 0.06 * box, 0.07 * box
    ax.plot([x, x + length_px], [y, y], color="white", lw=2.5, solid_capstyle="butt")
    ax.annotate(f"{length_ang:g} Å", (x, y + 0.03 * box), color="white", fontsize=7, va="bottom")
