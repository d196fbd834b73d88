"""Curves of a run: how the training went, and to what detail halves of the data agree on each map."""

import tkinter as tk
from tkinter import ttk

import numpy as np
from matplotlib.backends.backend_tkagg import FigureCanvasTkAgg

from . import style
from .content import Content, MapEntry

NOT_CURVES = ("epoch", "seconds")


class _CurvePanel(ttk.Frame):
    """A figure that fills its frame; `_draw` puts the curves in it."""

    def __init__(self, master: tk.Misc, content: Content):
        super().__init__(master, style="Het.TFrame")
        self._content = content
        self._figure = style.figure()
        self._draw()
        canvas = FigureCanvasTkAgg(self._figure, master=self)
        canvas.get_tk_widget().configure(highlightthickness=0)
        canvas.get_tk_widget().pack(fill=tk.BOTH, expand=True, padx=6, pady=6)

    def _draw(self) -> None:
        raise NotImplementedError


class TrainingPanel(_CurvePanel):
    """One small plot per figure that the training recorded."""

    def _draw(self) -> None:
        rows = self._content.metrics
        names = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in NOT_CURVES]
        if not names:
            style.note(self._figure.add_subplot(), "The training has recorded nothing yet.")
            return
        columns = 1 if len(names) == 1 else 2
        grid = self._figure.subplots(-(-len(names) // columns), columns, squeeze=False).ravel()
        for axes, name in zip(grid, names, strict=False):
            points = [(row["epoch"], row[name]) for row in rows if name in row]
            axes.plot(*zip(*points, strict=True), "-o", color=style.CATEGORIES[0], lw=1.8, ms=3)
            style.tidy(axes, "epoch").set_title(name.replace("_", " "), fontsize=10, color=style.INK, loc="left")
            axes.grid(axis="y", color=style.FAINT, lw=0.8)
        for axes in grid[len(names) :]:
            axes.set_axis_off()


class ResolutionPanel(_CurvePanel):
    """Fourier shell correlation between half-maps of each map that has them."""

    def _draw(self) -> None:
        entries = [entry for entry in self._content.maps if entry.fsc is not None]
        if not entries:
            style.note(self._figure.add_subplot(), "There are no half-maps: they come with the closed-form finish.")
            return
        axes = style.tidy(self._figure.add_subplot(), "resolution (Å)", "Fourier shell correlation of half-maps")
        for entry in entries:
            self._curve(axes, entry)
        shells = len(entries[0].fsc)
        for level in (0.5, 0.143):
            axes.axhline(level, color=style.MUTED, lw=0.8, ls=(0, (4, 3)))
            axes.text(shells - 1, level + 0.012, f"{level}", color=style.MUTED, fontsize=8, ha="right")
        ticks = np.linspace(0, shells - 1, 7)[1:]
        box_ang = 2 * (shells - 1) * self._content.pixel_size_ang
        axes.set_xticks(ticks, [f"{box_ang / tick:.1f}" for tick in ticks])
        axes.set(xlim=(0, shells - 1), ylim=(-0.08, 1.02))
        if len(entries) <= 16:
            axes.legend(fontsize=8, frameon=False, labelcolor=style.INK, loc="upper right", bbox_to_anchor=(1, 0.98))

    @staticmethod
    def _curve(axes, entry: MapEntry) -> None:
        reached = f"  {entry.resolution_ang:.1f} Å" if entry.resolution_ang else ""
        axes.plot(entry.fsc, color=entry.colour, lw=1.5, label=f"{entry.label}{reached}")
