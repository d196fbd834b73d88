"""The figures of states: how far each map agrees with the truth, local resolution, Guinier's plots, the maps."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ..analysis.direction_plots import direction_figure
from ..analysis.figure_style import DISTINCT, FAINT, GREY, INK, SEQUENTIAL, figure, in_order_colours, without_ticks
from ..analysis.map_plots import fsc_figure, montage_figure, resolution_axis
from ..analysis.series import Series
from ..report_writer import Report
from .made import MadeState
from .states_index import TITLES
from .view_cautions import directions_of_states

PER_ROW = 4
MOVING = DISTINCT[5]


def draw_all(states_by_way: dict[str, list[MadeState]], series: Series, out: Report, pixel_size_ang: float) -> None:
    """Draw everything there is something to draw of."""
    judged = {name: states for name, states in states_by_way.items() if states[0].by_halves is not None}
    for name, states in states_by_way.items():
        maps = [state.map for state in states]
        montage_figure(out.figure(f"maps_{name}"), TITLES[name], series.labels, maps, pixel_size_ang)
    for name, states in judged.items():
        expectation_figure(out.figure(f"expected_{name}"), TITLES[name], series.labels, states, pixel_size_ang)
        if states[0].local_section is not None:
            local_figure(out.figure(f"local_{name}"), TITLES[name], series.labels, states)
    directions = directions_of_states(next(iter(states_by_way.values())))
    if directions is not None:
        direction_figure(out.figure("directions"), directions)
    if judged:
        panels = [
            (f"maps {TITLES[name]}", series.labels, [state.map for state in states_by_way[name]]) for name in judged
        ]
        fsc_figure(out.figure("fsc"), panels, pixel_size_ang)


def expectation_figure(
    file: Path, title: str, labels: Sequence[str], states: Sequence[MadeState], pixel_size_ang: float
) -> None:
    """Per state, the FSC with the truth: as half-maps alone have it, and as measured with prior-free maps."""
    columns = min(len(states), PER_ROW)
    rows = -(-len(states) // columns)
    with figure(file, 2.6 * columns + 0.6, 2.3 * rows + 0.7) as page:
        axes = page.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for ax, label, state, colour in zip(axes.ravel(), labels, states, in_order_colours(len(states)), strict=False):
            frequency = np.arange(len(state.by_halves)) / (state.map.projection.shape[0] * pixel_size_ang)
            ax.plot(frequency[1:-1], state.by_halves[1:-1], color=GREY, lw=1.0, ls=(0, (3, 2)), label="half-maps alone")
            if state.map.expected is not None:
                measured = slice(1, min(state.map.expected.measured_to + 1, len(frequency) - 1))
                ax.plot(frequency[1:-1], state.map.expected.fsc[1:-1], color=colour, lw=1.0, ls=(0, (1, 1.2)))
                ax.plot(frequency[measured], state.map.expected.fsc[measured], color=colour, lw=1.8, label="measured")
            limits = f"{state.resolution_ang:#.3g}"
            if state.map.moving_expected is not None:
                moving = state.map.moving_expected.fsc[1:-1]
                ax.plot(frequency[1:-1], moving, color=MOVING, lw=1.2, label="measured where it moves")
                limits += f" | {state.moving_resolution_ang:#.3g}"
            ax.axhline(0.5, color=FAINT, lw=0.8)
            ax.set_title(f"{label}: {limits} Å", fontsize=8, fontweight="normal")
            resolution_axis(ax, 0.5 / pixel_size_ang, least_gap=0.16)
            ax.set_ylim(-0.04, 1.04)
        for ax in axes.ravel()[len(states) :]:
            ax.set_visible(False)
        axes[0, 0].legend(loc="lower left", fontsize=7)
        page.supxlabel("resolution (Å)", fontsize=9)
        page.supylabel("expected FSC with the truth", fontsize=9)
        regions = " (whole map | moving region)" if states[0].map.moving_expected is not None else ""
        _head(page, f"maps {title}: resolution where 0.5 is expected{regions}")


def local_figure(file: Path, title: str, labels: Sequence[str], states: Sequence[MadeState]) -> None:
    """Central section of the local resolution of every state, on one scale."""
    sections = [state.local_section for state in states]
    inside = np.concatenate([section[np.isfinite(section)] for section in sections])
    low, high = np.percentile(inside, (2, 98)) if len(inside) else (0.0, 1.0)
    columns = min(len(states), PER_ROW)
    rows = -(-len(states) // columns)
    with figure(file, 1.7 * columns + 1.2, 1.9 * rows + 0.6) as page:
        axes = page.subplots(rows, columns, squeeze=False)
        for ax, label, state, section in zip(axes.ravel(), labels, states, sections, strict=False):
            ax.imshow(state.map.section, cmap="gray_r", origin="lower", alpha=0.35)
            shown = ax.imshow(section, cmap=f"{SEQUENTIAL}_r", vmin=low, vmax=high, origin="lower")
            ax.set_title(f"{label}: {state.local_ang[1]:#.3g} Å", fontsize=8, fontweight="normal", color=INK)
            without_ticks(ax)
            ax.spines[:].set_visible(False)
        for ax in axes.ravel()[len(states) :]:
            ax.set_visible(False)
        page.colorbar(shown, ax=axes, shrink=0.8, label="local resolution (Å)")
        _head(page, f"maps {title}: local resolution in the central section, and its median")


def _head(page: Figure, text: str) -> None:
    page.suptitle(text, x=0.015, ha="left", fontsize=9, fontweight="bold")
