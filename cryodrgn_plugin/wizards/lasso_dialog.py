"""A picture of the latent space to draw in."""

import tkinter as tk
from tkinter import ttk

import numpy as np
from matplotlib.backends.backend_tkagg import FigureCanvasTkAgg
from matplotlib.widgets import LassoSelector
from pyworkflow.gui.dialog import RESULT_CANCEL, RESULT_YES, Dialog

from ..engine.run import Run
from ..engine.selection.lasso import Lasso
from ..viewers import palette

MOST_POINTS = 60_000
"""More particles than this are drawn as a random part of them; all are counted."""
MOST_CORNERS = 200


def pictures_of(run: Run) -> dict[str, np.ndarray]:
    """The planes that can be drawn in, by the name of their space: (N, 2) each.

    Raises DataError without an analysis.
    """
    analysed = run.results("analysis").arrays
    pictures = {"umap": analysed["umap"]} if "umap" in analysed else {}
    if analysed["pca"].shape[1] > 1:
        pictures["pca"] = analysed["pca"][:, :2]
    return pictures


class LassoDialog(Dialog):
    """A scatter plot to draw in; the line is in `corners` (V, 2) or None, and where it was drawn in `space`."""

    def __init__(self, parent, pictures: dict[str, np.ndarray]):
        self.corners: np.ndarray | None = None
        self.space = next(iter(pictures))
        self._pictures = pictures
        super().__init__(parent, "Draw around particles", buttons=[("Select", RESULT_YES), ("Cancel", RESULT_CANCEL)])

    def body(self, bodyFrame):
        bodyFrame.config(bg=palette.PAPER)
        bar = tk.Frame(bodyFrame, bg=palette.PAPER)
        bar.grid(row=0, column=0, sticky="ew", padx=8, pady=6)
        self._menu = ttk.Combobox(bar, values=list(self._pictures), state="readonly", width=8)
        self._menu.set(self.space)
        self._menu.pack(side=tk.LEFT)
        self._menu.bind("<<ComboboxSelected>>", lambda _event: self._change(self._menu.get()))
        self._told = tk.StringVar(bodyFrame, value="Draw a line around the particles to take.")
        tk.Label(bar, textvariable=self._told, bg=palette.PAPER).pack(side=tk.LEFT, padx=12)
        self._figure = palette.figure(6.4, 5.0)
        self._canvas = FigureCanvasTkAgg(self._figure, master=bodyFrame)
        self._canvas.get_tk_widget().grid(row=1, column=0, sticky="news", padx=8)
        self._draw()

    def drawn(self, corners: list[tuple[float, float]]) -> None:
        """Take a line that was drawn, thinned out to at most `MOST_CORNERS` corners."""
        step = max(1, len(corners) // MOST_CORNERS)
        self.corners = np.array(corners, float)[::step]
        points = self._pictures[self.space]
        inside = Lasso(("", ""), self.corners).inside(points)
        self._told.set(f"{inside.sum():,} of {len(points):,} particles are inside.")
        self._draw(inside)

    def _change(self, space: str) -> None:
        self.space, self.corners = space, None
        self._told.set("Draw a line around the particles to take.")
        self._draw()

    def _draw(self, inside: np.ndarray | None = None) -> None:
        self._figure.clear()
        axes = self._figure.add_subplot()
        points = self._pictures[self.space]
        shown = np.random.default_rng(0).permutation(len(points))[:MOST_POINTS]
        colours = palette.NEUTRAL if inside is None else np.where(inside[shown], palette.ACCENT, palette.NEUTRAL)
        axes.scatter(*points[shown].T, s=float(np.clip(24000 / len(points), 2, 16)), c=colours, linewidths=0)
        if self.corners is not None:
            axes.plot(*np.vstack([self.corners, self.corners[:1]]).T, color=palette.INK, lw=1.2)
        name = {"umap": "UMAP ", "pca": "PC"}[self.space]
        palette.tidy(axes, f"{name}1", f"{name}2")
        self._lasso = LassoSelector(axes, self.drawn, props={"color": palette.INK})
        self._canvas.draw_idle()
