"""Three sections through a map, moved with the wheel, or its three projections."""

import tkinter as tk
from tkinter import ttk

import numpy as np
from PIL import Image, ImageTk

from . import palette

SIZE_PX = 150
SAMPLED = 40
"""Voxels along an edge that tell the range of grey values."""
RANGE = (1, 99.7)
"""Percentiles that are drawn white and black."""
SECTIONS, PROJECTIONS = "Sections", "Projections"
AXES = ("z", "y", "x")


class SectionRow(ttk.Frame):
    """Pictures of a map (D, D, D) across and along its axes, white for little density and black for much."""

    def __init__(self, master: tk.Misc):
        super().__init__(master, style="Het.TFrame", padding=(4, 0, 10, 4))
        self._volume: np.ndarray | None = None
        self._shares = [0.5] * len(AXES)
        self._kind = tk.StringVar(self, value=SECTIONS)
        self._words = [tk.StringVar(self) for _ in AXES]
        self._pictures = [self._cell(axis) for axis in range(len(AXES))]
        choice = ttk.Frame(self, style="Het.TFrame")
        choice.grid(row=1, column=0, columnspan=len(AXES))
        for kind in (SECTIONS, PROJECTIONS):
            ttk.Radiobutton(
                choice, text=kind, value=kind, variable=self._kind, style="Het.TRadiobutton", command=self.draw
            ).pack(side=tk.LEFT, padx=8)

    def show(self, volume: np.ndarray) -> None:
        """Show another map, at the places that were chosen."""
        self._volume = volume
        self.draw()

    def use(self, kind: str) -> None:
        """Show sections or projections."""
        self._kind.set(kind)
        self.draw()

    def draw(self) -> None:
        """Draw all three."""
        if self._volume is not None:
            every = max(1, len(self._volume) // SAMPLED)
            grey = np.percentile(self._volume[::every, ::every, ::every], RANGE)
            for axis in range(len(AXES)):
                self._draw(axis, grey)

    def move(self, axis: int, steps: int) -> None:
        """Move the section across an axis (0 z, 1 y, 2 x) by hundredths of the box."""
        self._shares[axis] = float(np.clip(self._shares[axis] + steps / 100, 0, 1))
        self.draw()

    def _cell(self, axis: int) -> tk.Label:
        cell = ttk.Frame(self, style="Het.TFrame")
        cell.grid(row=0, column=axis, padx=6)
        picture = tk.Label(cell, bg=palette.PAPER, bd=0)
        picture.pack()
        ttk.Label(cell, textvariable=self._words[axis], style="HetMuted.TLabel").pack()
        for event, steps in (("<Button-4>", 2), ("<Button-5>", -2)):
            picture.bind(event, lambda _event, steps=steps: self.move(axis, steps))
        picture.bind("<MouseWheel>", lambda event: self.move(axis, 2 if event.delta > 0 else -2))
        return picture

    def _draw(self, axis: int, grey: np.ndarray) -> None:
        if self._kind.get() == SECTIONS:
            place = round(self._shares[axis] * (len(self._volume) - 1) + 0.01)
            plane, words = np.take(self._volume, place, axis), f"section {AXES[axis]} at {self._shares[axis]:.0%}"
        else:
            plane, words = self._volume.sum(axis), f"along {AXES[axis]}"
            grey = np.percentile(plane, RANGE)
        shares = np.clip((plane - grey[0]) / max(float(grey[1] - grey[0]), 1e-12), 0, 1)
        picture = Image.fromarray((255 * (1 - shares)).astype(np.uint8)).resize((SIZE_PX, SIZE_PX), Image.BICUBIC)
        label = self._pictures[axis]
        label.image = ImageTk.PhotoImage(picture, master=self)
        label.configure(image=label.image)
        self._words[axis].set(words)
