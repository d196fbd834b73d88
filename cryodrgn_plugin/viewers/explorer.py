"""The explorer: latent space on the left, the map of what is chosen there on the right, in the host's own window."""

import tkinter as tk
from tkinter import ttk

from pyworkflow.gui import Window

from . import palette
from .atoms_panel import AtomsPanel
from .content import Content, MapEntry
from .curve_panels import ResolutionPanel, TrainingPanel
from .latent_panel import LatentPanel
from .map_panel import MapPanel
from .picture_panel import PicturePanel
from .resident_decoder import Answer

SIZE = (1360, 800)
POLL_MS = 10


class ExplorerWindow(Window):
    """Window over one run's content."""

    def __init__(self, content: Content, **kwargs):
        super().__init__(title=content.title, minsize=(900, 560), **kwargs)
        self._content = content
        self._looking: str | None = None
        self._status = tk.StringVar(self.root, value="   ·   ".join(content.facts))
        define_styles(self.root)
        self.root.configure(bg=palette.PAPER)
        self._place()
        self._build()
        if content.decoder is not None:
            content.decoder.start()
            self.root.bind("<Destroy>", self._closed, add="+")

    def _place(self) -> None:
        """At its size in the middle of the screen, or as large as the screen allows."""
        screen = self.root.winfo_screenwidth(), self.root.winfo_screenheight()
        width, height = (min(wanted, round(0.95 * there)) for wanted, there in zip(SIZE, screen, strict=True))
        self.root.geometry(f"{width}x{height}+{(screen[0] - width) // 2}+{(screen[1] - height) // 2}")

    def _build(self) -> None:
        foot = ttk.Frame(self.root, style="HetFoot.TFrame", padding=(12, 5))
        foot.pack(side=tk.BOTTOM, fill=tk.X)
        ttk.Label(foot, textvariable=self._status, style="HetFoot.TLabel").pack(side=tk.LEFT)
        split = ttk.PanedWindow(self.root, orient=tk.HORIZONTAL)
        split.pack(fill=tk.BOTH, expand=True)
        self.tabs = ttk.Notebook(split, style="Het.TNotebook")
        self.maps = MapPanel(split, self._content, self._status.set)
        split.add(self.tabs, weight=3)
        split.add(self.maps, weight=2)
        self.latents = LatentPanel(self.tabs, self._content, self.show_particle)
        self.tabs.add(self.latents, text="Latent space")
        self.tabs.add(ResolutionPanel(self.tabs, self._content), text="Resolution")
        self.tabs.add(TrainingPanel(self.tabs, self._content), text="Training")
        if self._content.atoms is not None:
            self.atoms = AtomsPanel(self.tabs, self._content.atoms, self._status.set)
            self.tabs.add(self.atoms, text="Atomic model")
        if self._content.pictures:
            self.tabs.add(PicturePanel(self.tabs, self._content.pictures), text="Figures")

    def show_particle(self, index: int) -> None:
        """Tell about a particle and show its own map, made on the spot: that of its class until the engine is ready,
        or where the run has no model."""
        decoder = self._content.decoder
        if decoder is None:
            self._tell(index)
        else:
            self._tell(index, *([] if decoder.is_ready else ["making its own map …"]))
            decoder.ask(index, self._content.z[index])
            self._look_soon()
        if decoder is None or not decoder.is_ready:
            self._show_class_map(index)

    def _tell(self, index: int, *more: str) -> None:
        words = [self._name(index)]
        for item in self._content.colourings:
            value = item.values[index]
            words.append(f"{item.name} {int(value)}" if item.categorical else f"{item.name} {value:.3g}")
        self._status.set("   ·   ".join([*words, *more]))

    def _name(self, index: int) -> str:
        return f"particle {self._content.object_ids[index]}"

    def _show_class_map(self, index: int) -> None:
        classes = next((item for item in self._content.colourings if item.series in self._content.series()), None)
        if classes is not None:
            self.maps.show_in_series(classes.series, int(classes.values[index]) - 1)

    # ---- the map that follows ----------------------------------------------
    def _look_soon(self) -> None:
        if self._looking is None:
            self._looking = self.root.after(POLL_MS, self._look)

    def _look(self) -> None:
        """Show the map that was made last, and look again while more are to come."""
        self._looking = None
        answer = self._content.decoder.newest()
        if answer is not None and answer.error:
            self._status.set(answer.error)
        elif answer is not None:
            self._tell(answer.index, "its own map")
            self.maps.follow(self._entry_of(answer))
        if self._content.decoder.is_busy:
            self._look_soon()

    def _entry_of(self, answer: Answer) -> MapEntry:
        """The map as an entry, drawn at the level of the other maps, so that they compare."""
        level = self._content.maps[0].level if self._content.maps else None
        return MapEntry(
            series="",
            label=f"map of {self._name(answer.index)}",
            path="",
            colour=palette.ACCENT,
            level=level,
            volume=answer.volume,
            pixel_size_ang=answer.pixel_size_ang,
        )

    def _closed(self, event: tk.Event) -> None:
        """However the window ends, the engine's process ends with it."""
        if event.widget is self.root:
            self._content.decoder.close()
            if self._looking is not None:
                self.root.after_cancel(self._looking)


def define_styles(root: tk.Misc) -> None:
    """Ttk styles of the explorer, under names of their own so that the host's windows keep theirs."""
    ttk_style = ttk.Style(root)
    ttk_style.configure("Het.TFrame", background=palette.PAPER)
    ttk_style.configure("Het.TLabel", background=palette.PAPER, foreground=palette.INK)
    ttk_style.configure(
        "HetBold.TLabel", background=palette.PAPER, foreground=palette.INK, font=("Helvetica", 11, "bold")
    )
    ttk_style.configure("HetMuted.TLabel", background=palette.PAPER, foreground=palette.MUTED, font=("Helvetica", 9))
    ttk_style.configure("HetFoot.TFrame", background=palette.FAINT)
    ttk_style.configure("HetFoot.TLabel", background=palette.FAINT, foreground=palette.INK, font=("Helvetica", 9))
    ttk_style.configure("Het.TNotebook", background=palette.PAPER, borderwidth=0)
    ttk_style.configure("Het.TNotebook.Tab", padding=(14, 6))
    ttk_style.configure("Het.TButton", padding=(6, 2))
    ttk_style.configure("Het.Horizontal.TScale", background=palette.PAPER)
