"""Images of the particles nearest to the place that is looked at, all of one view, beside their mean and the map's
projection."""

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

import numpy as np
from PIL import Image, ImageTk

from . import palette
from .resident_decoder import IMAGES, Answer, Question, ResidentDecoder

COUNT, SIZE_PX = 7, 66
REST_MS, POLL_MS = 200, 30
CONTRAST = (1, 99.5)
"""Percentiles that are drawn white and black."""


class ImagesBar(ttk.Frame):
    """A row of pictures; `name_of(index)` names a particle."""

    def __init__(self, master: tk.Misc, decoder: ResidentDecoder, name_of: Callable[[int], str]):
        super().__init__(master, style="Het.TFrame", padding=(10, 6))
        self._decoder, self._name_of = decoder, name_of
        self._later: str | None = None
        self._wanted: Question | None = None
        self._asked: Question | None = None
        self._shown: Question | None = None
        self._cells = [self._cell(place) for place in range(COUNT + 2)]
        self._hint = ttk.Label(self, text="Point at a particle.", style="HetMuted.TLabel")
        self._hint.grid(row=2, column=0, columnspan=COUNT + 2, sticky="w")
        self.bind("<Map>", lambda _event: self._rest())

    @property
    def is_filled(self) -> bool:
        """Whether images of the place that was asked for last are shown."""
        return self._shown is not None and self._shown is self._wanted

    def look(self, z: np.ndarray, index: int | None) -> None:
        """Show what lies near z (Z,), in the view of a particle, once the mouse rests and the row is in sight."""
        self._wanted = Question(index, z, images=COUNT)
        self._rest()

    def destroy(self) -> None:
        """Take back what was to be done later, with the row."""
        if self._later is not None:
            self.after_cancel(self._later)
        super().destroy()

    def _cell(self, place: int) -> tuple[tk.Label, tk.StringVar]:
        picture, words = tk.Label(self, bg=palette.PAPER, bd=0), tk.StringVar(self)
        picture.grid(row=0, column=place, padx=2)
        ttk.Label(self, textvariable=words, style="HetMuted.TLabel").grid(row=1, column=place)
        return picture, words

    def _rest(self) -> None:
        if self._later is not None:
            self.after_cancel(self._later)
        self._later = self.after(REST_MS, self._ask)

    def _ask(self) -> None:
        self._later = None
        if self._wanted is None or self._wanted is self._asked or not self.winfo_viewable():
            return
        self._asked = self._wanted
        self._hint.configure(text="Reading images …")
        self._decoder.put(self._asked)
        self._later = self.after(POLL_MS, self._look)

    def _look(self) -> None:
        self._later = None
        answer = self._decoder.newest(IMAGES)
        if answer is None:
            self._later = self.after(POLL_MS, self._look)
        elif answer.error:
            self._hint.configure(text=answer.error)
        else:
            self._show(answer)

    def _show(self, answer: Answer) -> None:
        names = ["mean", "map", *(self._name_of(place).removeprefix("particle ") for place in answer.places)]
        for (cell, words), pixels, name in zip(self._cells, answer.volume, names, strict=False):
            cell.image = ImageTk.PhotoImage(drawn(pixels), master=self)
            cell.configure(image=cell.image)
            words.set(name)
        self._shown = answer.question
        widest = max(answer.away_deg, default=0.0)
        self._hint.configure(
            text=f"The nearest particles that are seen alike, turned as the first one; views up to {widest:.0f}° off."
        )


def drawn(pixels: np.ndarray) -> Image.Image:
    """An image (D, D) with the molecule dark, as large as a cell."""
    low, high = np.percentile(pixels, CONTRAST)
    shares = np.clip((pixels - low) / max(float(high - low), 1e-12), 0, 1)
    return Image.fromarray((255 * (1 - shares)).astype(np.uint8)).resize((SIZE_PX, SIZE_PX), Image.BICUBIC)
