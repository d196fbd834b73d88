"""A plane full of particles under the mouse: the wheel enlarges, the right or the middle button moves, the left one
points, or draws a line or a rectangle around particles.

The picture is one image of all particles (`particle_density`) with axes, marks and a legend over it, so that a million
particles cost what a picture costs.
"""

import tkinter as tk
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageTk

from . import palette
from .canvas_frame import CanvasFrame
from .particle_density import Cloud, Shade
from .plane_view import PlaneView
from .shading import Legend

POINT, LASSO, RECTANGLE = "point", "lasso", "rectangle"
STEP = 1.25
"""Of one notch of the wheel."""
NEAR_PX = 12
"""The mouse is at a particle within this distance."""
LEAST_PX = 40
UNLIT = palette.as_rgb([palette.GREY])[0]


@dataclass
class Listeners:
    """Whom the canvas tells what the mouse does; places are (x, y) in the plane."""

    pointed: Callable[[tuple[float, float], bool], None] = lambda place, pressed: None
    """The left button is pressed, or moves while it is down."""
    hovered: Callable[[int | None], None] = lambda index: None
    """The mouse rests at a particle, or no longer."""
    outlined: Callable[[np.ndarray], None] = lambda corners: None
    """Corners (V, 2) of a line or rectangle that was drawn."""
    classed: Callable[[int], None] = lambda number: None
    """A class of the legend, from 1, was clicked."""


class LatentCanvas(tk.Canvas):
    """All particles of a plane; `listeners` are told what the mouse does."""

    def __init__(self, master: tk.Misc, listeners: Listeners):
        super().__init__(master, bg=palette.PAPER, highlightthickness=0, cursor="crosshair", width=300, height=200)
        self._listeners = listeners
        self.tool = POINT
        self.view: PlaneView | None = None
        self._whole: PlaneView | None = None
        self._points = np.zeros((0, 2))
        self._cloud = Cloud(self._points)
        self._shade: Shade | None = None
        self._lit: np.ndarray | None = None
        self._frame = CanvasFrame(self)
        self._marks: dict[str, tuple[tuple[float, float], str, str]] = {}
        self._line: list[tuple[int, int]] = []
        self._dragged: tuple[int, int] | None = None
        self._pending: str | None = None
        self._resting: str | None = None
        self._image = self.create_image(0, 0, anchor=tk.NW)
        self._picture: ImageTk.PhotoImage | None = None
        self._listen()

    # ---- what is shown -----------------------------------------------------
    def show(self, points: np.ndarray, names: tuple[str, str]) -> None:
        """Show other points (N, 2), all of them; `names` are those of the axes."""
        self._cloud = Cloud(points)
        self._points, self._whole, self.view = points, None, None
        self._frame.names = names
        self.refresh()

    def shaded(self, shade: Shade, legend: Legend) -> None:
        """Colour the particles in another way."""
        self._shade = shade
        self._frame.legend = legend
        self.refresh()

    def light(self, lit: np.ndarray | None) -> None:
        """Let only particles in `lit` (N,) bool have their colours; None for all."""
        self._lit = lit
        self.refresh()

    def mark(self, name: str, place: tuple[float, float] | None, colour: str = "", text: str = "") -> None:
        """A named ring at a place of the plane, with a text in it; None takes it away."""
        self._marks.pop(name, None)
        if place is not None:
            self._marks[name] = (place, colour, text)
        self._draw_marks()

    def unmark(self, start: str) -> None:
        """Take away all marks whose names begin so."""
        self._marks = {name: mark for name, mark in self._marks.items() if not name.startswith(start)}
        self._draw_marks()

    def tell(self, words: str, place: tuple[float, float] | None = None) -> None:
        """Words beside a place of the plane, over everything; empty ones take them away."""
        self.delete("told")
        if not words or place is None:
            return
        x, y = self.pixel_of(place)
        left, top, width, height = self._frame.inside()
        sides = ("w" if x < left + width / 2 else "e"), ("n" if y < top + height / 2 else "s")
        item = self.create_text(
            x + (14 if sides[0] == "w" else -14), y, text=words, anchor=sides[1] + sides[0], fill=palette.INK,
            font=("Helvetica", 9), tags="told",
        )  # fmt: skip
        x1, y1, x2, y2 = self.bbox(item)
        self.create_rectangle(x1 - 5, y1 - 4, x2 + 5, y2 + 4, fill=palette.PAPER, outline=palette.NEUTRAL, tags="told")
        self.tag_raise(item)

    def place_of(self, name: str) -> tuple[float, float] | None:
        """Where a mark is."""
        return self._marks[name][0] if name in self._marks else None

    def fit(self) -> None:
        """Show all particles again."""
        self.view = self._whole
        self.refresh()

    def pixel_of(self, place: tuple[float, float]) -> tuple[int, int]:
        """Where on the widget a place of the plane is."""
        x, y = self.view.to_pixels(np.array(place))
        left, top, _, _ = self._frame.inside()
        return round(left + x), round(top + y)

    # ---- drawing -----------------------------------------------------------
    def refresh(self) -> None:
        """Draw once more, once for all changes that came meanwhile."""
        if self._pending is None:
            self._pending = self.after_idle(self.draw)

    def draw(self) -> None:
        """Draw the particles and all that lies over them."""
        if self._pending is not None:
            self.after_cancel(self._pending)
            self._pending = None
        left, top, width, height = self._frame.inside()
        if min(width, height) < LEAST_PX or self._shade is None:
            return
        if self._whole is None:
            self._whole = PlaneView.fitting(self._points, width, height)
        self._whole = self._whole.resized(width, height)
        self.view = (self.view or self._whole).resized(width, height)
        pixels = self._cloud.painted(self.view, self._shade, self._lit, UNLIT)
        self._picture = ImageTk.PhotoImage(Image.fromarray(pixels), master=self)
        self.itemconfigure(self._image, image=self._picture)
        self.coords(self._image, left, top)
        self._frame.draw(self.view)
        self._draw_marks()

    def _draw_marks(self) -> None:
        self.delete("mark")
        if self.view is None:
            return
        left, top, width, height = self._frame.inside()
        for place, colour, text in self._marks.values():
            x, y = self.pixel_of(place)
            if not (left <= x <= left + width and top <= y <= top + height):
                continue
            radius, fill = (9, palette.PAPER) if text else (7, "")
            self.create_oval(x - radius, y - radius, x + radius, y + radius, outline=colour, width=2, fill=fill,
                             tags="mark")  # fmt: skip
            self.create_text(x, y, text=text, fill=palette.INK, font=("Helvetica", 9, "bold"), tags="mark")

    # ---- the mouse ---------------------------------------------------------
    def _listen(self) -> None:
        self.bind("<Configure>", lambda _event: self.refresh())
        self.bind("<ButtonPress-1>", self._pressed)
        self.bind("<B1-Motion>", self._moved)
        self.bind("<ButtonRelease-1>", self._released)
        for button in (2, 3):
            self.bind(f"<ButtonPress-{button}>", self._grabbed)
            self.bind(f"<B{button}-Motion>", self._pulled)
        self.bind("<Button-4>", lambda event: self._enlarge(STEP, event))
        self.bind("<Button-5>", lambda event: self._enlarge(1 / STEP, event))
        self.bind("<MouseWheel>", lambda event: self._enlarge(STEP if event.delta > 0 else 1 / STEP, event))
        self.bind("<Double-Button-3>", lambda _event: self.fit())
        self.bind("<Motion>", self._passed)
        self.bind("<Leave>", lambda _event: self._listeners.hovered(None))

    def destroy(self) -> None:
        """Take back what was to be done later, with the widget."""
        for later in (self._pending, self._resting):
            if later is not None:
                self.after_cancel(later)
        self._pending = self._resting = None
        super().destroy()

    def _pixel(self, event: tk.Event) -> tuple[int, int] | None:
        """Where in the picture the mouse is; None outside of it."""
        left, top, width, height = self._frame.inside()
        x, y = event.x - left, event.y - top
        return (x, y) if self.view is not None and 0 <= x < width and 0 <= y < height else None

    def _nearest_pixel(self, event: tk.Event) -> tuple[int, int]:
        """The pixel of the picture nearest to the mouse, which a line may lead beyond its edge."""
        left, top, width, height = self._frame.inside()
        return min(max(event.x - left, 0), width - 1), min(max(event.y - top, 0), height - 1)

    def _place(self, pixel: tuple[int, int]) -> tuple[float, float]:
        x, y = self.view.to_plane(np.array(pixel))
        return float(x), float(y)

    def _pressed(self, event: tk.Event) -> None:
        pixel = self._pixel(event)
        self._line = []
        if pixel is None:
            number = self._frame.class_at(event.x, event.y)
            if number is not None:
                self._listeners.classed(number)
            return
        self._line = [pixel]
        if self.tool == POINT:
            self._listeners.pointed(self._place(pixel), True)

    def _moved(self, event: tk.Event) -> None:
        if not self._line:
            return
        if self.tool == POINT:
            if (inside := self._pixel(event)) is not None:
                self._listeners.pointed(self._place(inside), False)
            return
        pixel = self._nearest_pixel(event)
        self._line = [*self._line, pixel] if self.tool == LASSO else [self._line[0], pixel]
        self._draw_line()

    def _released(self, _event: tk.Event) -> None:
        corners = np.array(_rectangle(self._line) if self.tool == RECTANGLE else self._line)
        self._line = []
        self.delete("line")
        if self.tool != POINT and len(corners) > 2:
            self._listeners.outlined(self.view.to_plane(corners))

    def _draw_line(self) -> None:
        self.delete("line")
        left, top, _, _ = self._frame.inside()
        corners = _rectangle(self._line) if self.tool == RECTANGLE else self._line
        if len(corners) > 1:
            closed = [number for x, y in [*corners, corners[0]] for number in (x + left, y + top)]
            self.create_line(closed, fill=palette.INK, width=1.5, tags="line")

    def _grabbed(self, event: tk.Event) -> None:
        self._dragged = (event.x, event.y)

    def _pulled(self, event: tk.Event) -> None:
        if self._dragged is None or self.view is None:
            return
        self.view = self.view.moved(event.x - self._dragged[0], event.y - self._dragged[1])
        self._dragged = (event.x, event.y)
        self.refresh()

    def _enlarge(self, factor: float, event: tk.Event) -> None:
        pixel = self._pixel(event)
        if pixel is not None:
            self.view = self.view.enlarged(factor, pixel, self._whole)
            self.refresh()

    def _passed(self, event: tk.Event) -> None:
        """Tell of the particle under the mouse once it rests for a moment."""
        if self._resting is not None:
            self.after_cancel(self._resting)
        self.delete("told")
        self._resting = self.after(40, self._rested, self._pixel(event))

    def _rested(self, pixel: tuple[int, int] | None) -> None:
        self._resting = None
        self._listeners.hovered(None if pixel is None else self.particle_at(pixel))

    def particle_at(self, pixel: tuple[int, int]) -> int | None:
        """Index of the particle under a pixel of the picture; None where none is near."""
        if not len(self._cloud):
            return None
        index, away = self._cloud.nearest(self.view, pixel)
        return index if away <= NEAR_PX else None

    def nearest_to(self, place: tuple[float, float]) -> int:
        """Index of the particle that is drawn nearest to a place of the plane."""
        x, y = self.view.to_pixels(np.array(place))
        return self._cloud.nearest(self.view, (x, y))[0]


def _rectangle(line: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The corners of the rectangle between the ends of a line."""
    if len(line) < 2:
        return []
    (x1, y1), (x2, y2) = line[0], line[-1]
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)] if x1 != x2 and y1 != y2 else []
