"""The explorer: latent space on the left, the map of what is chosen there on the right, in the host's own window."""

import tkinter as tk
from concurrent.futures import Future, ThreadPoolExecutor
from tkinter import ttk

from pyworkflow.gui import Window

from ..engine.errors import EngineError
from . import palette
from .atoms_panel import AtomsPanel
from .content import Content, MapEntry
from .curve_panels import ResolutionPanel, TrainingPanel
from .latent_panel import LatentPanel
from .map_panel import MapPanel
from .picture_panel import PicturePanel

SIZE = (1360, 800)
POLL_MS = 100


class ExplorerWindow(Window):
    """Window over one run's content."""

    def __init__(self, content: Content, **kwargs):
        super().__init__(title=content.title, minsize=(900, 560), **kwargs)
        self._content = content
        self._maker = ThreadPoolExecutor(max_workers=1)
        self._asked: Future | None = None
        self._status = tk.StringVar(self.root, value="   ·   ".join(content.facts))
        define_styles(self.root)
        self.root.configure(bg=palette.PAPER)
        self._place()
        self._build()

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
        """Tell about a particle and show its map: made on the spot where the run can, else that of its class."""
        words = [f"particle {self._content.object_ids[index]}"]
        for item in self._content.colourings:
            value = item.values[index]
            words.append(f"{item.name} {int(value)}" if item.categorical else f"{item.name} {value:.3g}")
        self._status.set("   ·   ".join(words))
        self._show_class_map(index)
        if self._content.decode is not None:
            self._status.set(self._status.get() + "   ·   making its own map …")
            self._asked = self._maker.submit(self._content.decode, index)
            self._await_map(self._asked, words)

    def _show_class_map(self, index: int) -> None:
        classes = next((item for item in self._content.colourings if item.series in self._content.series()), None)
        if classes is not None:
            self.maps.show_in_series(classes.series, int(classes.values[index]) - 1)

    def _await_map(self, asked: Future, words: list[str]) -> None:
        """Look from the window's own thread whether the map is there, unless another was asked for meanwhile."""
        if asked is not self._asked:
            return
        if not asked.done():
            self.root.after(POLL_MS, self._await_map, asked, words)
            return
        try:
            # Drawn at the level of the other maps, so that they compare.
            level = self._content.maps[0].level if self._content.maps else None
            self.maps.show_entry(MapEntry("", f"map of {words[0]}", asked.result(), palette.ACCENT, level))
        except EngineError as error:
            self._status.set(str(error))
        else:
            self._status.set("   ·   ".join([*words, "its own map"]))


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
