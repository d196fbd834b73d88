"""A picture of the latent space to draw in."""

import tkinter as tk
from tkinter import ttk

import numpy as np
from pyworkflow.gui.dialog import RESULT_CANCEL, RESULT_YES, Dialog

from ..engine.run import Run
from ..viewers import palette
from ..viewers.chosen_particles import inside_outline
from ..viewers.latent_canvas import LASSO, LatentCanvas, Listeners
from ..viewers.shading import shading_of
from ..viewers.styles import define_styles

MOST_CORNERS = 200
SIZE = (700, 500)
HINT = "Draw a line around the particles to take; the wheel enlarges, the right button moves."


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
    """All particles in a plane to draw in; the line is in `corners` (V, 2) or None, where it was drawn in `space`."""

    def __init__(self, parent, pictures: dict[str, np.ndarray]):
        self.corners: np.ndarray | None = None
        self.space = next(iter(pictures))
        self._pictures = pictures
        super().__init__(parent, "Draw around particles", buttons=[("Select", RESULT_YES), ("Cancel", RESULT_CANCEL)])

    def body(self, bodyFrame):
        define_styles(bodyFrame)
        bodyFrame.config(bg=palette.PAPER)
        bar = tk.Frame(bodyFrame, bg=palette.PAPER)
        bar.grid(row=0, column=0, sticky="ew", padx=8, pady=6)
        self._menu = ttk.Combobox(bar, values=list(self._pictures), state="readonly", width=8)
        self._menu.set(self.space)
        self._menu.pack(side=tk.LEFT)
        self._menu.bind("<<ComboboxSelected>>", lambda _event: self._change(self._menu.get()))
        self._told = tk.StringVar(bodyFrame, value=HINT)
        tk.Label(bar, textvariable=self._told, bg=palette.PAPER).pack(side=tk.LEFT, padx=12)
        self.canvas = LatentCanvas(bodyFrame, Listeners(outlined=self.drawn))
        self.canvas.configure(width=SIZE[0], height=SIZE[1])
        self.canvas.tool = LASSO
        self.canvas.grid(row=1, column=0, sticky="news", padx=8)
        bodyFrame.rowconfigure(1, weight=1)
        bodyFrame.columnconfigure(0, weight=1)
        self._show()

    def drawn(self, corners) -> None:
        """Take a line (V, 2) that was drawn, thinned out to at most `MOST_CORNERS` corners."""
        step = max(1, len(corners) // MOST_CORNERS)
        self.corners = np.array(corners, float)[::step]
        points = self._pictures[self.space]
        inside = inside_outline(self.corners, points)
        self._told.set(f"{inside.sum():,} of {len(points):,} particles are inside.")
        self.canvas.light(inside)

    def _change(self, space: str) -> None:
        self.space, self.corners = space, None
        self._told.set(HINT)
        self._show()

    def _show(self) -> None:
        name = {"umap": "UMAP ", "pca": "PC"}[self.space]
        self.canvas.light(None)
        self.canvas.show(self._pictures[self.space], (f"{name}1", f"{name}2"))
        self.canvas.shaded(*shading_of(None))
