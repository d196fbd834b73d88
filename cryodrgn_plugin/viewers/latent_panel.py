"""The latent space: choose the plane and the colours, point at a particle to see its map, draw around particles to
select them."""

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

import numpy as np

from . import palette
from .chosen_particles import inside_outline
from .colouring import Colouring
from .columns_content import ColumnsOfRun
from .content import Content, Projection
from .latent_canvas import LASSO, POINT, RECTANGLE, LatentCanvas, Listeners
from .shading import COUNT, shading_of

CHOSEN, CENTRE = "chosen", "centre "
"""Names of marks."""
TOOLS = {POINT: "Point", LASSO: "Line", RECTANGLE: "Rectangle"}
HINTS = {
    POINT: "Wheel: zoom.  Right button: move.",
    LASSO: "Draw a line around particles.",
    RECTANGLE: "Draw a rectangle around particles.",
}


class LatentPanel(ttk.Frame):
    """All particles in a plane.

    Parameters
    ----------
    on_point : called with the index of the particle that is pointed at, or None, and with the latents (Z,) pointed at.
    on_outline : called with the (N,) bool particles inside of a line that was drawn, or of a class that was clicked.
    on_hover : called with the index of the particle under the mouse, or None.
    """

    def __init__(
        self,
        master: tk.Misc,
        content: Content,
        on_point: Callable[[int | None, np.ndarray], None],
        on_outline: Callable[[np.ndarray], None],
        on_hover: Callable[[int | None], None],
    ):
        super().__init__(master, style="Het.TFrame")
        self._content, self._on_point, self._on_outline = content, on_point, on_outline
        self._columns: ColumnsOfRun | None = None
        self._colourings = {item.name: item for item in content.colourings}
        self._last: int | None = None
        self._z: np.ndarray | None = None
        self._projection = tk.StringVar(self, value=content.projections[0].name if content.projections else "")
        self._colouring = tk.StringVar(self, value=next(iter(self._colourings), COUNT))
        self._tool = tk.StringVar(self, value=POINT)
        self._free = tk.BooleanVar(self, value=False)
        self._hint = tk.StringVar(self, value=HINTS[POINT])
        self._add_controls()
        self.canvas = LatentCanvas(self, Listeners(self._pointed, on_hover, self._outlined, self._class_clicked))
        self.canvas.pack(fill=tk.BOTH, expand=True)
        self._show_projection()

    # ---- what others ask of it ---------------------------------------------
    def choose(self, index: int | None, z: np.ndarray | None = None) -> None:
        """Mark a particle, or a place (Z,) of the latent space, without telling anyone."""
        self._last = index
        self._z = self._content.z[index] if index is not None and len(self._content.z) else z
        self.canvas.mark(CHOSEN, self.place_of(index, self._z), palette.ACCENT)

    def select(self, projection: str | None = None, colouring: str | None = None) -> None:
        """Show another projection or colouring, by name."""
        if projection:
            self._projection.set(projection)
            self._show_projection()
        if colouring:
            self._colouring.set(colouring)
            self._shade()

    def use(self, tool: str) -> None:
        """Take a tool."""
        self._tool.set(tool)
        self.canvas.tool = tool
        self._hint.set(HINTS[tool])

    def offer(self, columns: ColumnsOfRun) -> None:
        """Offer every column for colours."""
        self._columns = columns
        names = [*self._colourings, COUNT]
        self._colour_menu.configure(values=[*names, *(name for name in columns if name not in names)])

    def place_of(self, index: int | None, z: np.ndarray | None) -> tuple[float, float] | None:
        """Where in the plane that is shown a particle or a point of the latent space is; a point that the plane does
        not tell is where the particle nearest to it is."""
        projection = self.projection
        if projection is None or (index is None and z is None):
            return None
        if index is None and projection.axes is not None:
            return float(z[projection.axes[0]]), float(z[projection.axes[1]])
        if index is None:
            index = nearest(self._content.z, z)
        x, y = projection.points[index]
        return float(x), float(y)

    @property
    def projection(self) -> Projection | None:
        """The plane that is shown."""
        return next((item for item in self._content.projections if item.name == self._projection.get()), None)

    @property
    def colouring(self) -> Colouring | None:
        """What the particles are coloured by; None for their number."""
        name = self._colouring.get()
        if name in self._colourings or self._columns is None or name == COUNT:
            return self._colourings.get(name)
        return self._columns.colouring(name)

    # ---- drawing -----------------------------------------------------------
    def _show_projection(self) -> None:
        projection = self.projection
        if projection is None:
            ttk.Label(self, text="This run has no latent space.", style="HetMuted.TLabel").place(relx=0.5, rely=0.5)
            return
        self._free_button.configure(state=tk.NORMAL if projection.axes is not None else tk.DISABLED)
        self.canvas.show(projection.points, (projection.x, projection.y))
        self._shade()
        self._mark_centres(projection)
        self.canvas.mark(CHOSEN, self.place_of(self._last, self._z), palette.ACCENT)
        self.event_generate("<<PlaneChanged>>")

    def _shade(self) -> None:
        self.canvas.shaded(*shading_of(self.colouring))

    def _mark_centres(self, projection: Projection) -> None:
        """Numbers where the maps of the first series were made."""
        self.canvas.unmark(CENTRE)
        series = self._content.series()
        for number, entry in enumerate(self._content.maps_of(series[0]) if series else [], start=1):
            if entry.particle is not None:
                x, y = projection.points[entry.particle]
                self.canvas.mark(f"{CENTRE}{number}", (float(x), float(y)), entry.colour, str(number))

    # ---- controls ----------------------------------------------------------
    def _add_controls(self) -> None:
        bar = ttk.Frame(self, style="Het.TFrame", padding=(10, 8, 10, 0))
        bar.pack(fill=tk.X)
        projections = [item.name for item in self._content.projections]
        self._menu(bar, "View", self._projection, projections, self._show_projection, 14)
        self._colour_menu = self._menu(bar, "Colour by", self._colouring, [*self._colourings, COUNT], self._shade, 24)
        ttk.Button(bar, text="Show all", command=self._fit, style="Het.TButton").pack(side=tk.RIGHT)
        tools = ttk.Frame(self, style="Het.TFrame", padding=(10, 4, 10, 4))
        tools.pack(fill=tk.X)
        for tool, name in TOOLS.items():
            ttk.Radiobutton(
                tools, text=name, value=tool, variable=self._tool, style="Het.TRadiobutton",
                command=lambda: self.use(self._tool.get()),
            ).pack(side=tk.LEFT, padx=(0, 8))  # fmt: skip
        self._free_button = ttk.Checkbutton(
            tools, text="between particles", variable=self._free, style="Het.TCheckbutton"
        )
        self._free_button.pack(side=tk.LEFT, padx=(4, 8))
        ttk.Label(tools, textvariable=self._hint, style="HetMuted.TLabel").pack(side=tk.RIGHT)

    def _fit(self) -> None:
        self.canvas.fit()

    @staticmethod
    def _menu(bar: ttk.Frame, text: str, variable: tk.StringVar, names: list[str], do: Callable[[], None], width: int):
        ttk.Label(bar, text=text, style="Het.TLabel").pack(side=tk.LEFT, padx=(0, 5))
        menu = ttk.Combobox(bar, textvariable=variable, values=names, state="readonly", width=width, height=24)
        menu.pack(side=tk.LEFT, padx=(0, 12))
        menu.bind("<<ComboboxSelected>>", lambda _event: do())
        return menu

    # ---- the mouse ---------------------------------------------------------
    def _pointed(self, place: tuple[float, float], pressed: bool) -> None:
        axes = self.projection.axes
        if self._free.get() and axes is not None:
            z = (self._content.z.mean(axis=0) if self._z is None else self._z).copy()
            z[list(axes)] = place
            self.choose(None, z)
            self._on_point(None, z)
            return
        index = self.canvas.nearest_to(place)
        if pressed or index != self._last:
            self.choose(index)
            self._on_point(index, self._content.z[index])

    def _outlined(self, corners: np.ndarray) -> None:
        self._on_outline(inside_outline(corners, self.projection.points))

    def _class_clicked(self, number: int) -> None:
        self._on_outline(np.asarray(self.colouring.values) == number)


def nearest(points: np.ndarray, point: np.ndarray) -> int:
    """Index of the row of `points` (N, Z) nearest to `point` (Z,)."""
    return int(np.argmin(((points - point) ** 2).sum(axis=1)))
