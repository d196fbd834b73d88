"""What the parts of the explorer tell each other: a place that is pointed at, its map, pins, selections, protocols."""

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

import numpy as np

from . import palette
from .atoms_panel import AtomsPanel
from .columns_content import ColumnsOfRun
from .content import MODEL, Content, MapEntry
from .curve_panels import ResolutionPanel, TrainingPanel
from .images_bar import ImagesBar
from .latent_panel import LatentPanel, nearest
from .map_panel import MapPanel
from .picture_panel import PicturePanel
from .pins_bar import PINS, Pin, PinListeners, PinsBar
from .resident_decoder import Answer
from .selection_bar import SelectionBar
from .z_sliders import ZSliders

POLL_MS = 10
LATENT = "Latent space"
"""A tab."""
PIN = "pin "
"""Begins the names of their marks."""
ABOVE, BELOW = "#2d78b4", "#e17800"
"""Where a difference of maps gains density, and where it loses some."""


class Workbench:
    """The tabs of the explorer and what happens in them; `say` shows a sentence."""

    def __init__(self, tabs: ttk.Notebook, content: Content, maps: MapPanel, say: Callable[[str], None]):
        self._content, self._maps, self._say, self.tabs = content, maps, say, tabs
        self.columns: ColumnsOfRun | None = None
        self._looking: str | None = None
        self._here: Pin | None = None
        self._page = ttk.Frame(tabs, style="Het.TFrame")
        self.latents = LatentPanel(self._page, content, self.show_point, self._selected, self._hovered)
        if len(content.z):
            self._add_tray()
        self.latents.pack(fill=tk.BOTH, expand=True)
        self._page.bind("<Destroy>", self._closed)

    # ---- tabs --------------------------------------------------------------
    def add_tabs(self, first: str = "") -> None:
        """All that a run has; each is made when it is looked at first."""
        content = self._content
        self._makers: dict[str, Callable[[tk.Misc], tk.Widget]] = {
            "Resolution": lambda master: ResolutionPanel(master, content),
            "Training": lambda master: TrainingPanel(master, content),
        }
        if content.atoms is not None:
            self._makers[MODEL] = lambda master: AtomsPanel(master, content.atoms, self._say)
        if content.pictures:
            self._makers["Figures"] = lambda master: PicturePanel(master, content.pictures)
        self.tabs.add(self._page, text=LATENT)
        self._pages = {LATENT: self._page}
        self._panels: dict[str, tk.Widget] = {LATENT: self.latents}
        for name in self._makers:
            self._pages[name] = ttk.Frame(self.tabs, style="Het.TFrame")
            self.tabs.add(self._pages[name], text=name)
        self.tabs.bind("<<NotebookTabChanged>>", lambda _event: self.panel(self.tabs.tab(self.tabs.select(), "text")))
        if first in self._pages:
            self.tabs.select(self._pages[first])

    def panel(self, name: str) -> tk.Widget:
        """What a tab shows, made now if it was not yet."""
        if name not in self._panels:
            self._panels[name] = self._makers[name](self._pages[name])
            self._panels[name].pack(fill=tk.BOTH, expand=True)
        return self._panels[name]

    def _add_tray(self) -> None:
        """Selection, pins, sliders and images under the latent space."""
        content = self._content
        self.tray = ttk.Notebook(self._page, style="Het.TNotebook")
        self.tray.pack(side=tk.BOTTOM, fill=tk.X)
        starts = content.handover
        self.selection = SelectionBar(
            self.tray, len(content.z), self.latents.canvas.light, self._create if starts else None, self._say
        )
        listeners = PinListeners(
            self._pinned, self.show_difference, self._show_between,
            self._trajectory if starts else None, self._states if starts else None,
        )  # fmt: skip
        self.pins = PinsBar(self.tray, lambda: self._here, listeners, self._say)
        names = tuple(content.z_names) or tuple(f"z{k + 1}" for k in range(content.z.shape[1]))
        self.sliders = ZSliders(self.tray, content.z, names, lambda z: self.show_point(None, z, of_sliders=True))
        for panel, name in ((self.selection, "Selection"), (self.pins, "Pins"), (self.sliders, "Sliders")):
            self.tray.add(panel, text=name)
        if content.decoder is not None:
            self.images = ImagesBar(self.tray, content.decoder, self._name)
            self.tray.add(self.images, text="Images")
        self.latents.bind("<<PlaneChanged>>", lambda _event: self._mark_pins())

    # ---- where is looked ---------------------------------------------------
    def offer(self, columns: ColumnsOfRun) -> None:
        """Use all columns of the particles, from now on."""
        self.columns = columns
        self._content.object_ids = columns.object_ids
        self.latents.offer(columns)
        if len(self._content.z):
            self.selection.offer(columns)

    def show_point(self, index: int | None, z: np.ndarray, of_sliders: bool = False) -> None:
        """Tell of a particle or a free point (Z,) and show the map there, made on the spot: that of the particle's
        class until the engine is ready, or where the run has no model."""
        self._here = Pin(z, index, self._name(index, z))
        if of_sliders:
            self.latents.choose(None, z)
        else:
            self.sliders.show(z)
        decoder = self._content.decoder
        self._tell(index, *(["making its own map …"] if decoder is not None and not decoder.is_ready else []))
        if decoder is not None:
            decoder.ask(index, z)
            self._look_soon()
            self.images.look(z, index)
        if index is not None and (decoder is None or not decoder.is_ready):
            self._show_class_map(index)

    def show_particle(self, index: int) -> None:
        """Mark a particle and show its map."""
        self.latents.choose(index)
        self.show_point(index, self._content.z[index])

    def _tell(self, index: int | None, *more: str) -> None:
        words = [self._here.name] if self._here is not None else []
        if index is not None:
            words = [self._name(index), *(item.told(index) for item in self._content.colourings)]
        self._say("   ·   ".join([*words, *more]))

    def _name(self, index: int | None, z: np.ndarray | None = None) -> str:
        if index is None:
            return f"point ({', '.join(f'{number:.2f}' for number in z[:3])}{', …' if len(z) > 3 else ''})"
        ids = self._content.object_ids
        return f"particle {ids[index]}" if len(ids) else f"row {self._content.rows[index] + 1:,}"

    def _hovered(self, index: int | None) -> None:
        """Say what is known of the particle under the mouse, beside it."""
        if index is None:
            self.latents.canvas.tell("")
            return
        told = {item.name: item.told(index) for item in self._content.colourings}
        if (shown := self.latents.colouring) is not None:
            told[shown.name] = shown.told(index)
        self.latents.canvas.tell("\n".join([self._name(index), *told.values()]), self.latents.place_of(index, None))

    def _show_class_map(self, index: int) -> None:
        series = self._content.series()
        classes = next((item for item in self._content.colourings if item.series in series), None)
        if classes is not None:
            self._maps.show_in_series(classes.series, int(classes.values[index]) - 1)

    # ---- pins and selections -----------------------------------------------
    def show_difference(self, first: Pin, second: Pin) -> None:
        """Show the map at the second pin less that at the first."""
        self._ask(second.z, first.z)

    def _show_between(self, first: Pin, second: Pin, share: float) -> None:
        z = (1 - share) * first.z + share * second.z
        self.latents.choose(None, z)
        self.sliders.show(z)
        self._here = Pin(z, None, f"{share:.0%} of the way from A to B")
        self._ask(z)

    def _ask(self, z: np.ndarray, minus: np.ndarray | None = None) -> None:
        if self._content.decoder is None:
            self._say("This run has no model to make maps with.")
            return
        self._content.decoder.ask(None, z, minus)
        self._look_soon()

    def _pinned(self, name: str, pin: Pin) -> None:
        self._mark_pins()
        self._say(f"{name} is at {pin.name}.")

    def _mark_pins(self) -> None:
        for name in PINS:
            pin = self.pins.pins.get(name)
            place = None if pin is None else self.latents.place_of(pin.index, pin.z)
            self.latents.canvas.mark(PIN + name, place, palette.ACCENT, name)

    def _selected(self, these: np.ndarray) -> None:
        self.selection.take(these)
        self.tray.select(self.selection)

    def _create(self, chosen: np.ndarray, name: str) -> None:
        self._say(self._content.handover.subset(self._content.rows[chosen], name))

    def _trajectory(self, first: Pin, second: Pin) -> None:
        self._hand_over(self._content.handover.trajectory, [first, second])

    def _states(self, pins: list[Pin]) -> None:
        self._hand_over(self._content.handover.states, pins)

    def _hand_over(self, begin: Callable[[list[int]], str], pins: list[Pin]) -> None:
        """Begin a protocol with the particles at pins, or those nearest to them."""
        ids = self._content.object_ids
        if not len(ids):
            self._say("The ids of the particles are still being read; try again in a moment.")
            return
        z = self._content.z
        self._say(begin([int(ids[nearest(z, pin.z) if pin.index is None else pin.index]) for pin in pins]))

    # ---- the map that follows ----------------------------------------------
    def _look_soon(self) -> None:
        if self._looking is None:
            self._looking = self._page.after(POLL_MS, self._look)

    def _look(self) -> None:
        """Show the map that was made last, and look again while more are to come."""
        self._looking = None
        decoder = self._content.decoder
        answer = decoder.newest()
        if answer is not None and answer.error:
            self._say(answer.error)
        elif answer is not None:
            if answer.question.minus is not None:
                self._say("Density that B has more of is blue, density that it has less of orange.")
            else:
                self._tell(answer.index, "map there" if answer.index is None else "its own map")
            self._maps.follow(self._entry_of(answer))
        if decoder.is_busy:
            self._look_soon()

    def _entry_of(self, answer: Answer) -> MapEntry:
        """The map as an entry, drawn at the level of the other maps, so that they compare."""
        maps, is_difference = self._content.maps, answer.question.minus is not None
        where = "the free point" if answer.index is None else self._name(answer.index)
        return MapEntry(
            series="",
            label="map of B − A" if is_difference else f"map of {where}",
            path="",
            colour=ABOVE if is_difference else palette.ACCENT,
            colour_below=BELOW if is_difference else "",
            level=maps[0].level if maps and not is_difference else None,
            volume=answer.volume,
            pixel_size_ang=answer.pixel_size_ang,
        )

    def _closed(self, event: tk.Event) -> None:
        if event.widget is self._page and self._looking is not None:
            self._page.after_cancel(self._looking)
            self._looking = None
