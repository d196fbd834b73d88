"""One map at a time: its surface, turned with the mouse, three sections through it, and a walk along its series."""

import time
import tkinter as tk
from collections.abc import Callable
from pathlib import Path
from tkinter import ttk

import numpy as np
from PIL import Image, ImageTk
from pyworkflow.gui.dialog import showError

from ..engine.errors import EngineError
from ..engine.files import read_map
from . import other_viewers, palette
from .content import Content, MapEntry
from .isosurface import SurfaceRenderer, finer, make_renderer, suggested_level
from .section_row import SectionRow

STEP_MS = 350
"""Of a walk along a series at speed 1."""
SPEEDS = ("0.25", "0.5", "1", "2", "4")
LIVE_MS = 60
"""Surfaces that take longer to draw, where no graphics card does it, do not follow the mouse map by map."""
REST_MS, REFINE_MS = 120, 500
"""They are drawn when no other map has come for so long, and finely after so long again."""
DIFFERENCE = 4.0
"""Standard deviations at which the surfaces of a difference of maps are drawn, above and below."""
LEVEL_RANGE = (0.3, 2.5)
"""The level slider covers these multiples of the suggested level."""


class MapPanel(ttk.Frame):
    """Surface and sections of the chosen map; a menu of series, a slider along the series and one for the level."""

    def __init__(self, master: tk.Misc, content: Content, say: Callable[[str], None]):
        """`say` shows a sentence to the user."""
        super().__init__(master, style="Het.TFrame")
        self._say = say
        self._content = content
        self._series = tk.StringVar(value=next(iter(content.series()), ""))
        self._place = tk.IntVar(value=0)
        self._level = tk.DoubleVar(value=1.0)
        self._heading = tk.StringVar(value="")
        self._volumes: dict[str, np.ndarray] = {}
        self._volume: np.ndarray | None = None
        self._entry: MapEntry | None = None
        self._azimuth, self._elevation, self._zoom = 35.0, 20.0, 1.0
        self._drag: tuple[int, int] | None = None
        self._playing = self._pending = self._resting = None
        self._surface_ms = 0.0
        self._speed = tk.StringVar(self, value="1")
        self._renderer: SurfaceRenderer | None = None
        self._build()
        self._fill_series()

    # ---- what others ask of it ---------------------------------------------
    def show_entry(self, entry: MapEntry) -> None:
        """Show a map, which need not be in a series."""
        self._take(entry, self._read(entry.path))
        self._redraw_surface()

    def follow(self, entry: MapEntry) -> None:
        """Show a map that was made on the spot, of which many may come in a second: its sections at once, its surface
        too where that is quick or else in a pause, and both finer in a longer one."""
        self._take(entry, entry.volume)
        if self._surface_ms < LIVE_MS:
            self._redraw_surface()
            self._resting = self.after(REFINE_MS, self._refine)
        else:
            self._resting = self.after(REST_MS, self._rest)

    def show_in_series(self, series: str, place: int) -> None:
        """Show map number `place` (from 0) of a series."""
        if series != self._series.get():
            self._series.set(series)
            self._fill_series()
        self._place.set(place)
        self._show_place()

    def draw_region(self) -> None:
        """Let a region be drawn on the map that is shown, and keep it as a mask; the window says where it went."""
        if self._entry is None:
            return
        from .region_dialog import RegionDialog

        entry = self._entry
        made = entry.volume is not None
        volume, pixel_size_ang = (entry.volume, entry.pixel_size_ang) if made else read_map(entry.path)
        dialog = RegionDialog(self.winfo_toplevel(), volume, pixel_size_ang)
        if not (dialog.resultYes() and dialog.regions):
            return
        try:
            self._say(self._content.keep_mask(dialog.regions, pixel_size_ang))
        except EngineError as error:
            showError("Draw a region", str(error), self.winfo_toplevel())

    def destroy(self) -> None:
        """Take back what was to be done later, with the panel."""
        for later in (self._resting, self._playing):
            if later is not None:
                self.after_cancel(later)
        super().destroy()

    # ---- building ----------------------------------------------------------
    def _build(self) -> None:
        bar = ttk.Frame(self, style="Het.TFrame", padding=(4, 8, 10, 4))
        bar.pack(fill=tk.X)
        ttk.Label(bar, text="Maps", style="Het.TLabel").pack(side=tk.LEFT, padx=(0, 5))
        self._menu = ttk.Combobox(
            bar, textvariable=self._series, values=self._content.series(), state="readonly", width=20
        )
        self._menu.pack(side=tk.LEFT)
        self._menu.bind("<<ComboboxSelected>>", lambda _event: self._fill_series())
        self._play = ttk.Button(bar, text="▶ Play", width=8, command=self._toggle_play, style="Het.TButton")
        self._play.pack(side=tk.LEFT, padx=(8, 2))
        ttk.Combobox(bar, textvariable=self._speed, values=SPEEDS, state="readonly", width=4).pack(side=tk.LEFT)
        ttk.Label(bar, text="×", style="HetMuted.TLabel").pack(side=tk.LEFT, padx=(2, 8))
        self._add_programs(bar)

        self._walk = ttk.Scale(self, from_=0, to=1, command=self._walked, style="Het.Horizontal.TScale")
        self._walk.pack(fill=tk.X, padx=(4, 10))
        heading = ttk.Label(self, textvariable=self._heading, style="HetBold.TLabel", padding=(4, 6, 10, 0))
        heading.pack(fill=tk.X)
        self.sections = SectionRow(self)
        self.sections.pack(side=tk.BOTTOM)
        self._add_levels()
        self._surface = tk.Label(self, bg=palette.PAPER, cursor="fleur", bd=0)
        self._surface.pack(fill=tk.BOTH, expand=True, padx=(4, 10), pady=4)
        self._surface.bind("<ButtonPress-1>", lambda event: self._grab(event.x, event.y))
        self._surface.bind("<B1-Motion>", lambda event: self._turn(event.x, event.y))
        self._surface.bind("<Button-4>", lambda _event: self._enlarge(1.1))
        self._surface.bind("<Button-5>", lambda _event: self._enlarge(1 / 1.1))
        self._surface.bind("<Configure>", lambda _event: self._redraw_surface())

    def _add_programs(self, bar: ttk.Frame) -> None:
        """A menu of the other programs that can show the map, where there are any."""
        if programs := other_viewers.installed():
            button = ttk.Menubutton(bar, text="Open in")
            menu = tk.Menu(button, tearoff=False)
            for name, show in programs.items():
                menu.add_command(label=name, command=lambda show=show: self._open_in(show))
            button.configure(menu=menu)
            button.pack(side=tk.RIGHT)

    def _open_in(self, show: Callable[[Path], str]) -> None:
        if self._entry is not None:
            self._say(show(other_viewers.file_of(self._entry)))

    def _add_levels(self) -> None:
        levels = ttk.Frame(self, style="Het.TFrame", padding=(4, 0, 10, 4))
        levels.pack(side=tk.BOTTOM, fill=tk.X)
        ttk.Label(levels, text="Level", style="Het.TLabel").pack(side=tk.LEFT, padx=(0, 6))
        scale = ttk.Scale(levels, from_=LEVEL_RANGE[0], to=LEVEL_RANGE[1], variable=self._level,
                          command=lambda _value: self._redraw_surface(), style="Het.Horizontal.TScale")  # fmt: skip
        scale.pack(side=tk.LEFT, fill=tk.X, expand=True)
        ttk.Label(levels, text="Drag to turn, wheel to zoom.", style="HetMuted.TLabel").pack(side=tk.RIGHT, padx=(8, 0))
        if self._content.keep_mask is not None:
            self._draw_button = ttk.Button(
                levels, text="Draw a region …", command=self.draw_region, style="Het.TButton"
            )
            self._draw_button.pack(side=tk.RIGHT)

    # ---- the series --------------------------------------------------------
    def _fill_series(self) -> None:
        count = len(self._entries())
        self._walk.configure(to=max(count - 1, 1), value=0)
        self._place.set(0)
        if count:
            self._show_place()
        else:
            self._heading.set("There are no maps yet: run analyze heterogeneity.")

    def _entries(self) -> list[MapEntry]:
        return self._content.maps_of(self._series.get())

    def _walked(self, value: str) -> None:
        place = round(float(value))
        if place != self._place.get() and place < len(self._entries()):
            self._place.set(place)
            self._show_place()

    def _show_place(self) -> None:
        self._walk.configure(value=self._place.get())
        self.show_entry(self._entries()[self._place.get()])

    def _toggle_play(self) -> None:
        if self._playing is not None:
            self.after_cancel(self._playing)
            self._playing = None
        else:
            self._step_on()
        self._play.configure(text="▶ Play" if self._playing is None else "❚❚ Pause")

    def _step_on(self) -> None:
        count = len(self._entries())
        if count > 1:
            self._place.set((self._place.get() + 1) % count)
            self._show_place()
        self._playing = self.after(round(STEP_MS / float(self._speed.get())), self._step_on)

    def _read(self, path: str) -> np.ndarray:
        if path not in self._volumes:
            if len(self._volumes) > 64:
                self._volumes.clear()
            self._volumes[path] = finer(read_map(path)[0])
        return self._volumes[path]

    # ---- drawing -----------------------------------------------------------
    def _take(self, entry: MapEntry, volume: np.ndarray) -> None:
        """Let this be the map that is shown, and show its sections."""
        if self._resting is not None:
            self.after_cancel(self._resting)
            self._resting = None
        self._entry, self._volume = entry, volume
        self._heading.set(f"{entry.label}   {entry.reached}".rstrip())
        self.sections.show(self._volume)

    def _rest(self) -> None:
        """Draw the surface of the map that was followed to, now that no other comes."""
        self._redraw_surface()
        self._resting = self.after(REFINE_MS, self._refine)

    def _refine(self) -> None:
        """Draw the map that was followed to as finely as others."""
        self._resting = None
        self._volume = finer(self._volume)
        self._redraw_surface()
        self.sections.show(self._volume)

    def _redraw_surface(self) -> None:
        if self._volume is None:
            return
        if self._renderer is None:
            self._renderer = make_renderer()
        below = self._entry.colour_below
        usual = DIFFERENCE * self._volume.std() if below else suggested_level(self._volume)
        level = (self._entry.level or usual) * self._level.get()
        self._renderer.show(self._volume, float(level), self._entry.colour, below)
        self._refresh()

    def _refresh(self) -> None:
        """Draw the surface from where it is looked at, once for all motions that came meanwhile."""
        if self._pending is None:
            self._pending = self.after_idle(self._draw_frame)

    def _draw_frame(self) -> None:
        self._pending = None
        size = (self._surface.winfo_width(), self._surface.winfo_height())
        if self._volume is None or min(size) < 32:
            return
        began = time.perf_counter()
        frame = self._renderer.frame(self._azimuth, self._elevation, size, self._zoom)
        self._surface.image = ImageTk.PhotoImage(Image.fromarray(frame), master=self)
        self._surface.configure(image=self._surface.image)
        self._surface_ms = 1000 * (time.perf_counter() - began)

    # ---- the mouse ---------------------------------------------------------
    def _grab(self, x: int, y: int) -> None:
        self._drag = (x, y)

    def _turn(self, x: int, y: int) -> None:
        if self._drag is None:
            return
        self._azimuth -= 0.5 * (x - self._drag[0])
        self._elevation = float(np.clip(self._elevation + 0.5 * (y - self._drag[1]), -89, 89))
        self._drag = (x, y)
        self._refresh()

    def _enlarge(self, factor: float) -> None:
        self._zoom = float(np.clip(self._zoom * factor, 0.4, 6.0))
        self._refresh()
