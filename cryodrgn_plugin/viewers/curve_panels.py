"""Curves of a run: how the training went, and to what detail halves of the data agree on each map."""

import tkinter as tk
from tkinter import ttk

import numpy as np
from matplotlib.backends.backend_tkagg import FigureCanvasTkAgg

from . import palette
from .content import Content, MapEntry

NOT_CURVES = ("epoch", "seconds")


class CurvePanel(ttk.Frame):
    """A figure that fills its frame."""

    def __init__(self, master: tk.Misc, content: Content):
        super().__init__(master, style="Het.TFrame")
        self._content = content
        self._figure = palette.figure()
        self._canvas = FigureCanvasTkAgg(self._figure, master=self)
        self._canvas.get_tk_widget().configure(highlightthickness=0)
        self._canvas.get_tk_widget().pack(side=tk.BOTTOM, fill=tk.BOTH, expand=True, padx=6, pady=6)


class TrainingPanel(CurvePanel):
    """One small plot per figure that the training recorded."""

    def __init__(self, master: tk.Misc, content: Content):
        super().__init__(master, content)
        rows = self._content.metrics
        names = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in NOT_CURVES]
        if not names:
            palette.note(self._figure.add_subplot(), "The training has recorded nothing yet.")
            return
        columns = 1 if len(names) == 1 else 2
        grid = self._figure.subplots(-(-len(names) // columns), columns, squeeze=False).ravel()
        for axes, name in zip(grid, names, strict=False):
            points = [(row["epoch"], row[name]) for row in rows if name in row]
            axes.plot(*zip(*points, strict=True), "-o", color=palette.CATEGORIES[0], lw=1.8, ms=3)
            palette.tidy(axes, "epoch").set_title(name.replace("_", " "), fontsize=10, color=palette.INK, loc="left")
            axes.grid(axis="y", color=palette.FAINT, lw=0.8)
        for axes in grid[len(names) :]:
            axes.set_axis_off()


class ResolutionPanel(CurvePanel):
    """Fourier shell correlation of each map of a series: between its half-maps, and as expected to the truth."""

    def __init__(self, master: tk.Misc, content: Content):
        super().__init__(master, content)
        judged = list(dict.fromkeys(entry.series for entry in content.maps if entry.fsc is not None))
        if not judged:
            palette.note(self._figure.add_subplot(), "There are no half-maps: they come with the closed-form finish.")
            return
        self._series = tk.StringVar(self, value=judged[0])
        bar = ttk.Frame(self, style="Het.TFrame", padding=(10, 8, 10, 0))
        bar.pack(fill=tk.X)
        ttk.Label(bar, text="Maps", style="Het.TLabel").pack(side=tk.LEFT, padx=(0, 5))
        menu = ttk.Combobox(bar, textvariable=self._series, values=judged, state="readonly", width=20)
        menu.pack(side=tk.LEFT)
        menu.bind("<<ComboboxSelected>>", lambda _event: self.draw())
        self.draw()

    def draw(self) -> None:
        """Draw the curves of the chosen series."""
        self._figure.clear()
        entries = [entry for entry in self._content.maps_of(self._series.get()) if entry.fsc is not None]
        dashed = " (dashed: expected to the truth)" if entries[0].expected_fsc is not None else ""
        axes = palette.tidy(self._figure.add_subplot(), "resolution (Å)", f"FSC of half-maps{dashed}")
        for entry in entries:
            self._curve(axes, entry)
        shells = len(entries[0].fsc)
        for level in (0.5, 0.143):
            axes.axhline(level, color=palette.MUTED, lw=0.8, ls=(0, (4, 3)))
            beside = axes.get_yaxis_transform()
            axes.text(1.005, level, f"{level}", color=palette.MUTED, fontsize=8, va="center", transform=beside)
        ticks = np.linspace(0, shells - 1, 7)[1:]
        box_ang = 2 * (shells - 1) * self._content.pixel_size_ang
        axes.set_xticks(ticks, [f"{box_ang / tick:.1f}" for tick in ticks])
        axes.set(xlim=(0, shells - 1), ylim=(-0.08, 1.02))
        if len(entries) <= 24:
            legend = axes.legend(fontsize=8, labelcolor=palette.INK, loc="lower left", bbox_to_anchor=(0, 0.02))
            legend.get_frame().set(facecolor=palette.PAPER, edgecolor="none", alpha=0.9)
        self._canvas.draw_idle()

    @staticmethod
    def _curve(axes, entry: MapEntry) -> None:
        axes.plot(entry.fsc, color=entry.colour, lw=1.5, label=f"{entry.label}  {entry.reached}")
        if entry.expected_fsc is not None:
            axes.plot(entry.expected_fsc, color=entry.colour, lw=1.2, ls=(0, (3, 2)))
