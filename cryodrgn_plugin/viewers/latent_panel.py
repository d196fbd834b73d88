"""The latent space as a scatter plot: choose the projection and the colouring, click a particle to see its map, or drag
over particles and see it change."""

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

import numpy as np
from matplotlib.backends.backend_tkagg import FigureCanvasTkAgg
from matplotlib.colors import ListedColormap

from . import palette
from .content import Colouring, Content, Projection

MOST_POINTS = 60_000
"""More particles than this are drawn as a random part of them; clicks still find any particle."""


class LatentPanel(ttk.Frame):
    """Scatter plot of all particles; `on_particle(index)` is called when one is clicked, and for each that the mouse
    comes to while its button is held."""

    def __init__(self, master: tk.Misc, content: Content, on_particle: Callable[[int], None]):
        super().__init__(master, style="Het.TFrame")
        self._content = content
        self._on_particle = on_particle
        self._chosen: int | None = None
        self._projection = tk.StringVar(value=content.projections[0].name if content.projections else "")
        self._colouring = tk.StringVar(value=content.colourings[0].name if content.colourings else "")
        self._add_controls()
        self._figure = palette.figure()
        self._axes = self._figure.add_subplot()
        self._marker = self._unmarked = None
        self._held: np.ndarray | None = None
        self._canvas = FigureCanvasTkAgg(self._figure, master=self)
        self._canvas.get_tk_widget().configure(highlightthickness=0, cursor="crosshair")
        self._canvas.get_tk_widget().pack(fill=tk.BOTH, expand=True)
        self._canvas.mpl_connect("draw_event", lambda _event: self._drawn())
        self._canvas.mpl_connect("button_press_event", self._pressed)
        self._canvas.mpl_connect("motion_notify_event", self._moved)
        self._canvas.mpl_connect("button_release_event", lambda _event: self._released())
        self.draw()

    def choose(self, index: int) -> None:
        """Mark a particle without telling anyone."""
        self._chosen = index
        self._mark()

    def select(self, projection: str | None = None, colouring: str | None = None) -> None:
        """Show another projection or colouring, by name."""
        if projection:
            self._projection.set(projection)
        if colouring:
            self._colouring.set(colouring)
        self.draw()

    # ---- drawing -----------------------------------------------------------
    def draw(self) -> None:
        """Draw everything again."""
        self._figure.clear()
        self._axes, self._marker, self._unmarked = self._figure.add_subplot(), None, None
        self._canvas.draw_idle()
        projection, colouring = self._current()
        if projection is None:
            palette.note(self._axes, "This run has no latent space.")
            return
        shown = _sample(len(projection.points))
        dots = self._scatter(projection.points[shown], colouring, shown)
        palette.tidy(self._axes, projection.x, projection.y)
        self._axes.margins(0.03)
        self._add_legend(dots, colouring)
        self._add_centres(projection)
        if len(shown) < len(projection.points):
            text = f"{len(shown):,} of {len(projection.points):,} particles drawn"
            self._axes.set_title(text, fontsize=8, color=palette.MUTED, loc="right")
        (self._marker,) = self._axes.plot(
            [], [], "o", ms=13, mfc="none", mec=palette.ACCENT, mew=2.0, zorder=5, animated=True
        )

    def _scatter(self, points: np.ndarray, colouring: Colouring | None, shown: np.ndarray):
        size = float(np.clip(24000 / max(len(points), 1), 3.0, 22.0))
        options = {"s": size, "linewidths": 0, "alpha": 0.75, "rasterized": True}
        if colouring is None:
            return self._axes.scatter(*points.T, color=palette.SURFACE, **options)
        values = colouring.values[shown]
        if colouring.categorical:
            count = int(colouring.values.max())
            colours = ListedColormap(palette.category_colours(count))
            return self._axes.scatter(*points.T, c=values, cmap=colours, vmin=0.5, vmax=count + 0.5, **options)
        low, high = np.percentile(values, (1, 99))
        return self._axes.scatter(*points.T, c=values, cmap=palette.SEQUENTIAL, vmin=low, vmax=high, **options)

    def _add_legend(self, dots, colouring: Colouring | None) -> None:
        if colouring is None:
            return
        bar = self._figure.colorbar(dots, ax=self._axes, shrink=0.6, aspect=24, pad=0.02)
        bar.outline.set_visible(False)
        bar.solids.set_alpha(1)
        bar.ax.tick_params(colors=palette.MUTED, labelsize=8, length=0)
        bar.set_label(colouring.name, color=palette.INK, fontsize=9)
        if colouring.categorical:
            numbers = np.arange(1, int(colouring.values.max()) + 1)
            bar.set_ticks(numbers, labels=colouring.words or [str(number) for number in numbers])

    def _add_centres(self, projection: Projection) -> None:
        """Numbers where the maps of the first series were made."""
        series = self._content.series()
        entries = self._content.maps_of(series[0]) if series else []
        for number, entry in enumerate(entries, start=1):
            if entry.particle is None:
                continue
            self._axes.annotate(
                str(number), projection.points[entry.particle], ha="center", va="center", fontsize=8, color=palette.INK,
                fontweight="bold",
                bbox={"boxstyle": "circle,pad=0.25", "fc": palette.PAPER, "ec": entry.colour, "lw": 1.6, "alpha": 0.95},
            )  # fmt: skip

    def _drawn(self) -> None:
        """Keep the picture without its mark, so that the mark alone is drawn anew where it moves."""
        if self._marker is not None:
            self._unmarked = self._canvas.copy_from_bbox(self._axes.bbox)
            self._add_mark()

    def _add_mark(self) -> None:
        projection, _ = self._current()
        if self._chosen is not None:
            self._marker.set_data(*projection.points[self._chosen][:, None])
            self._axes.draw_artist(self._marker)

    def _mark(self) -> None:
        if self._marker is not None and self._unmarked is not None:
            self._canvas.restore_region(self._unmarked)
            self._add_mark()
            self._canvas.blit(self._axes.bbox)

    # ---- events ------------------------------------------------------------
    def _add_controls(self) -> None:
        bar = ttk.Frame(self, style="Het.TFrame", padding=(10, 8, 10, 0))
        bar.pack(fill=tk.X)
        for text, variable, names in (
            ("View", self._projection, [item.name for item in self._content.projections]),
            ("Colour by", self._colouring, [item.name for item in self._content.colourings]),
        ):
            ttk.Label(bar, text=text, style="Het.TLabel").pack(side=tk.LEFT, padx=(0, 5))
            box = ttk.Combobox(bar, textvariable=variable, values=names, state="readonly", width=24)
            box.pack(side=tk.LEFT, padx=(0, 16))
            box.bind("<<ComboboxSelected>>", lambda _event: self.draw())
        ttk.Label(bar, text="Click a particle to see its map, or drag.", style="HetMuted.TLabel").pack(side=tk.RIGHT)

    def _current(self) -> tuple[Projection | None, Colouring | None]:
        projections = {item.name: item for item in self._content.projections}
        colourings = {item.name: item for item in self._content.colourings}
        return projections.get(self._projection.get()), colourings.get(self._colouring.get())

    def _pressed(self, event) -> None:
        projection, _ = self._current()
        if projection is None or event.inaxes is not self._axes or event.button != 1:
            return
        self._held = self._axes.transData.transform(projection.points)
        self._moved(event)

    def _moved(self, event) -> None:
        """Choose the particle nearest to the mouse while its button is held."""
        if self._held is None or event.inaxes is not self._axes:
            return
        index = nearest(self._held, np.array([event.x, event.y]))
        if event.name == "button_press_event" or index != self._chosen:
            self._chosen = index
            self._mark()
            self._on_particle(index)

    def _released(self) -> None:
        self._held = None


def nearest(points: np.ndarray, point: np.ndarray) -> int:
    """Index of the row of `points` (N, 2) nearest to `point` (2,)."""
    return int(np.argmin(((points - point) ** 2).sum(axis=1)))


def _sample(count: int) -> np.ndarray:
    if count <= MOST_POINTS:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, MOST_POINTS, replace=False))
