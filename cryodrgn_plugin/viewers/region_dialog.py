"""A region of a molecule, drawn on its projections, as a mask for a focus, a landscape or a subtraction."""

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

import numpy as np
from matplotlib.backends.backend_tkagg import FigureCanvasTkAgg
from matplotlib.widgets import LassoSelector
from pyworkflow.gui.dialog import RESULT_CANCEL, RESULT_YES, Dialog

from ..engine.selection.drawn_region import VIEWS, extruded, projection
from . import palette

MOST_CORNERS = 120
HINT = "Draw a line around a part, on one projection or on several: what lies inside of all lines is the region."


class RegionDialog(Dialog):
    """Three projections of a map (D, D, D) to draw on; what was drawn is in `regions`, (D, D, D) bool each."""

    def __init__(self, parent, volume: np.ndarray, pixel_size_ang: float):
        self._volume, self._pixel_size_ang = volume, pixel_size_ang
        self._drawn: list[dict[str, np.ndarray]] = [{}]
        super().__init__(parent, "Draw a region", buttons=[("Save as mask", RESULT_YES), ("Cancel", RESULT_CANCEL)])

    @property
    def regions(self) -> list[np.ndarray]:
        """Of all regions that have a line."""
        return [extruded(len(self._volume), outlines) for outlines in self._drawn if outlines]

    def body(self, bodyFrame):
        bodyFrame.config(bg=palette.PAPER)
        bar = tk.Frame(bodyFrame, bg=palette.PAPER)
        bar.grid(row=0, column=0, sticky="ew", padx=10, pady=(8, 4))
        self._told = tk.StringVar(bodyFrame, value=HINT)
        tk.Label(bar, textvariable=self._told, bg=palette.PAPER, fg=palette.INK).pack(side=tk.LEFT)
        ttk.Button(bar, text="Another region", command=self.another).pack(side=tk.RIGHT)
        ttk.Button(bar, text="Start anew", command=self.clear).pack(side=tk.RIGHT, padx=6)
        self._figure = palette.figure(10.2, 3.9)
        self._canvas = FigureCanvasTkAgg(self._figure, master=bodyFrame)
        self._canvas.get_tk_widget().grid(row=1, column=0, sticky="news", padx=8, pady=(0, 6))
        self._draw()

    # ---- what the mouse and the buttons do ------------------------------------
    def drawn(self, along: str, corners: list[tuple[float, float]]) -> None:
        """Take a line that was drawn on the projection along an axis, in place of the one there."""
        step = max(1, len(corners) // MOST_CORNERS)
        self._drawn[-1][along] = np.array(corners, float)[::step]
        self._tell()
        self._draw()

    def another(self) -> None:
        """Let what is drawn from now on be a region of its own."""
        if self._drawn[-1]:
            self._drawn.append({})
            self._told.set(f"Draw region {len(self._drawn)}: each region gets a latent space of its own.")
            self._draw()

    def clear(self) -> None:
        """Forget all lines."""
        self._drawn = [{}]
        self._told.set(HINT)
        self._draw()

    def _tell(self) -> None:
        region = self.regions[-1]
        density = np.maximum(self._volume, 0)
        share = float(density[region].sum() / max(density.sum(), 1e-12))
        across = (6 * region.sum() / np.pi) ** (1 / 3) * self._pixel_size_ang
        number = len(self._drawn)
        self._told.set(
            f"Region {number} holds {share:.1%} of the density and is as large as a ball {across:.0f} Å across."
        )

    # ---- drawing --------------------------------------------------------------
    def _draw(self) -> None:
        self._figure.clear()
        colours = palette.category_colours(len(self._drawn) + 1)[1:]
        regions = self.regions
        self._lassos = []
        for panel, (along, (right, up)) in zip(self._figure.subplots(1, 3), VIEWS.items(), strict=True):
            panel.imshow(projection(self._volume, along), origin="lower", cmap="gray_r", interpolation="bicubic")
            panel.autoscale(False)
            for outlines, colour in zip(self._drawn, colours, strict=True):
                if along in outlines:
                    corners = np.vstack([outlines[along], outlines[along][:1]])
                    panel.plot(*corners.T, color=colour, lw=1.6)
            for region, colour in zip(regions, colours, strict=False):
                self._shade(panel, projection(region, along) > 0, colour)
            palette.tidy(panel, right, up)
            panel.set_title(f"along {along}", fontsize=9, color=palette.MUTED)
            panel.set_xticks([])
            panel.set_yticks([])
            self._lassos.append(LassoSelector(panel, self._taking(along), props={"color": palette.INK}))
        self._canvas.draw_idle()

    @staticmethod
    def _shade(panel, seen: np.ndarray, colour: str) -> None:
        if seen.any():
            panel.contourf(seen, levels=[0.5, 1.5], colors=[colour], alpha=0.28)

    def _taking(self, along: str) -> Callable[[list[tuple[float, float]]], None]:
        return lambda corners: self.drawn(along, corners)
