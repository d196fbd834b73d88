"""What stands around a picture of particles: axes with round numbers, and a legend that fits beside it."""

import tkinter as tk

import numpy as np
from PIL import Image, ImageTk

from . import palette
from .plane_view import PlaneView, marks, spoken
from .shading import Legend

LEFT, TOP, BOTTOM, RIGHT = 52, 10, 40, 12
SMALL = ("Helvetica", 8)
NAME = ("Helvetica", 9)
ROW_PX, LEAST_ROW_PX = 17, 11
LEGEND_PX, COLUMN_PX = 118, 96
LETTERS = 16
"""Of longer labels the middle is left out."""
CLASS = "class-"
"""Tag of what stands for a class, before its number."""
BAR = (14, 200)
"""Width and largest height of a colour scale."""


class CanvasFrame:
    """Axes and legend of a canvas."""

    def __init__(self, canvas: tk.Canvas):
        self._canvas = canvas
        self.names = ("", "")
        self.legend: Legend | None = None
        self._bar: ImageTk.PhotoImage | None = None

    def inside(self) -> tuple[int, int, int, int]:
        """Left, top, width and height in pixels of what the picture of the particles may fill."""
        width, height = self._canvas.winfo_width(), self._canvas.winfo_height()
        return LEFT, TOP, width - LEFT - RIGHT - self._legend_px(), height - TOP - BOTTOM

    def draw(self, view: PlaneView) -> None:
        """Draw axes and legend anew."""
        self._canvas.delete("frame")
        self._draw_axes(view)
        if self.legend is not None:
            left = LEFT + self.inside()[2] + RIGHT
            self._line(left, TOP + 8, self.legend.title, anchor=tk.W, font=NAME, fill=palette.INK)
            if self.legend.classes:
                self._draw_classes(left, self.legend.classes)
            elif self.legend.scale is not None:
                self._draw_scale(left, self.legend)

    def class_at(self, x: int, y: int) -> int | None:
        """Number, from 1, of the class of the legend at a pixel of the canvas; None where there is none."""
        for item in self._canvas.find_overlapping(x - 1, y - 1, x + 1, y + 1):
            for tag in self._canvas.gettags(item):
                if tag.startswith(CLASS):
                    return int(tag.removeprefix(CLASS))
        return None

    # ---- axes --------------------------------------------------------------
    def _draw_axes(self, view: PlaneView) -> None:
        left, top, width, height = self.inside()
        low = top + height
        self._canvas.create_line(left, top, left, low, left + width, low, fill=palette.NEUTRAL, tags="frame")
        for number, text in _told(*view.x, width // 70):
            x = left + (number - view.x[0]) * view.scale[0]
            self._canvas.create_line(x, low, x, low + 4, fill=palette.NEUTRAL, tags="frame")
            self._line(x, low + 11, text)
        for number, text in _told(*view.y, height // 45):
            y = top + (view.y[1] - number) * view.scale[1]
            self._canvas.create_line(left - 4, y, left, y, fill=palette.NEUTRAL, tags="frame")
            self._line(left - 7, y, text, anchor=tk.E)
        self._line(left + width / 2, low + 28, self.names[0], font=NAME, fill=palette.INK)
        self._line(11, top + height / 2, self.names[1], font=NAME, fill=palette.INK, angle=90)

    def _line(self, x: float, y: float, text: str, **manner) -> None:
        manner = {"font": SMALL, "fill": palette.MUTED, **manner}
        self._canvas.create_text(x, y, text=text, tags=("frame", *manner.pop("tags", ())), **manner)

    # ---- legend ------------------------------------------------------------
    def _columns(self) -> int:
        """Columns of the legend's classes: a second where one does not hold them."""
        count = len(self.legend.classes) if self.legend is not None else 0
        room = max(self._canvas.winfo_height() - TOP - 24, LEAST_ROW_PX)
        return 2 if count * LEAST_ROW_PX > room else 1

    def _legend_px(self) -> int:
        return 0 if self.legend is None else LEGEND_PX + COLUMN_PX * (self._columns() - 1)

    def _draw_classes(self, left: int, classes: tuple[tuple[str, str], ...]) -> None:
        columns = self._columns()
        rows = -(-len(classes) // columns)
        step = min(ROW_PX, (self._canvas.winfo_height() - TOP - 24) / rows)
        for number, (label, colour) in enumerate(classes, start=1):
            column, row = divmod(number - 1, rows)
            x, y = left + COLUMN_PX * column, TOP + 26 + step * row
            tag = f"{CLASS}{number}"
            self._canvas.create_rectangle(x, y - 4, x + 9, y + 5, fill=colour, outline="", tags=("frame", tag))
            self._line(x + 15, y, _cut(label), anchor=tk.W, fill=palette.INK, tags=(tag,))

    def _draw_scale(self, left: int, legend: Legend) -> None:
        high = min(BAR[1], max(self._canvas.winfo_height() - TOP - 60, 20))
        shares = np.linspace(len(legend.scale) - 1, 0, high).astype(int)
        column = (255 * legend.scale[shares]).astype(np.uint8)
        picture = Image.fromarray(np.repeat(column[:, None], BAR[0], axis=1))
        self._bar = ImageTk.PhotoImage(picture, master=self._canvas)
        top = TOP + 24
        self._canvas.create_image(left, top, anchor=tk.NW, image=self._bar, tags="frame")
        self._line(left + BAR[0] + 6, top + 5, _cut(legend.high), anchor=tk.W)
        self._line(left + BAR[0] + 6, top + high - 5, _cut(legend.low), anchor=tk.W)


def _told(low: float, high: float, most: int) -> list[tuple[float, str]]:
    numbers = marks(low, high, max(most, 2))
    step = numbers[1] - numbers[0] if len(numbers) > 1 else high - low
    return [(number, spoken(number, step)) for number in numbers]


def _cut(label: str) -> str:
    return label if len(label) <= LETTERS else f"…{label[1 - LETTERS :]}"
