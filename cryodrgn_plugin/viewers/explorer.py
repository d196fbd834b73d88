"""The explorer: latent space on the left, the map of what is chosen there on the right, in the host's own window.

The window opens empty; what it shows is read in the background, first what every particle is drawn by, then all columns
of the particles.
"""

import importlib
import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

from pyworkflow.gui import Window

from . import palette
from .background import Background, Tell
from .content import Content
from .styles import define_styles

SIZE, SMALLEST = (1360, 800), (1160, 660)


class ExplorerWindow(Window):
    """Window over one run's content.

    Parameters
    ----------
    load : gives the content; it is called in a thread, with a function that takes a sentence on what is being read.
    first_tab : is shown first, where there is one of this name.
    """

    def __init__(self, title: str, load: Callable[[Tell], Content], first_tab: str = "", **kwargs):
        super().__init__(title=title, minsize=SMALLEST, **kwargs)
        define_styles(self.root)
        self.root.configure(bg=palette.PAPER)
        self._status = tk.StringVar(self.root, value="Reading the run …")
        self._first_tab = first_tab
        self._content: Content | None = None
        self._place()
        self._build()
        self._background = Background(self.root, self._status.set)
        self.root.bind("<Destroy>", self._closed, add="+")
        self._background.run(lambda tell: _prepared(load, tell), self._show, self._failed)

    @property
    def is_filled(self) -> bool:
        """Whether the content is there."""
        return self._content is not None

    # ---- the empty window --------------------------------------------------
    def _place(self) -> None:
        """At its size in the middle of the screen, or as large as the screen allows."""
        screen = self.root.winfo_screenwidth(), self.root.winfo_screenheight()
        width, height = (min(wanted, round(0.95 * there)) for wanted, there in zip(SIZE, screen, strict=True))
        self.root.geometry(f"{width}x{height}+{(screen[0] - width) // 2}+{(screen[1] - height) // 2}")

    def _build(self) -> None:
        foot = ttk.Frame(self.root, style="HetFoot.TFrame", padding=(12, 5))
        foot.pack(side=tk.BOTTOM, fill=tk.X)
        ttk.Label(foot, textvariable=self._status, style="HetFoot.TLabel").pack(side=tk.LEFT)
        self._progress = ttk.Progressbar(foot, mode="indeterminate", length=140)
        self._progress.pack(side=tk.RIGHT)
        self._progress.start(40)
        self._split = ttk.PanedWindow(self.root, orient=tk.HORIZONTAL)
        self._split.pack(fill=tk.BOTH, expand=True)
        self._empty = ttk.Frame(self._split, style="Het.TFrame")
        ttk.Label(self._empty, textvariable=self._status, style="HetMuted.TLabel").place(
            relx=0.5, rely=0.45, anchor=tk.CENTER
        )
        self._split.add(self._empty, weight=1)

    # ---- what comes later --------------------------------------------------
    def _show(self, content: Content) -> None:
        """Fill the window, and read on."""
        from .map_panel import MapPanel
        from .workbench import Workbench

        self._content = content
        self._split.forget(self._empty)
        self.tabs = ttk.Notebook(self._split, style="Het.TNotebook")
        self.maps = MapPanel(self._split, content, self._status.set)
        self._split.add(self.tabs, weight=3)
        self._split.add(self.maps, weight=2)
        self.bench = Workbench(self.tabs, content, self.maps, self._status.set)
        self.latents = self.bench.latents
        self.bench.add_tabs(self._first_tab)
        self._status.set("   ·   ".join(content.facts))
        if content.decoder is not None:
            content.decoder.start()
        if content.read_columns is None:
            self._idle()
        else:
            self._background.run(content.read_columns, self._offer, self._without_columns)

    def _offer(self, columns) -> None:
        self._idle()
        self._status.set("   ·   ".join(self._content.facts))
        self.bench.offer(columns)

    def _failed(self, sentence: str) -> None:
        """There is nothing to show, for a reason that stays in the window."""
        self._idle()
        self._status.set(sentence)

    def _without_columns(self, sentence: str) -> None:
        self._idle()
        self._status.set(f"Colours and rules have the run's own columns only: {sentence}")

    def _idle(self) -> None:
        self._progress.stop()
        self._progress.pack_forget()

    def _closed(self, event: tk.Event) -> None:
        """However the window ends, reading and the engine's process end with it."""
        if event.widget is self.root:
            self._background.close()
            if self._content is not None and self._content.decoder is not None:
                self._content.decoder.close()


def _prepared(load: Callable[[Tell], Content], tell: Tell) -> Content:
    """The content, with what draws it imported by then; in a thread."""
    from .isosurface import prepare

    content = load(tell)
    tell("Preparing to draw …")
    importlib.import_module(".workbench", __package__)
    prepare()
    return content
