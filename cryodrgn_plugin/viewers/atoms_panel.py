"""An atomic model in the maps of a run, in a tab of the explorer: a plot at a time, what it says, and ChimeraX."""

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

from matplotlib.backends.backend_tkagg import FigureCanvasTkAgg

from . import palette
from .atoms_content import AtomsContent
from .atoms_plots import plots_of
from .chimerax_program import open_script


class AtomsPanel(ttk.Frame):
    """The plots of `atoms_plots`, chosen by name; `say` takes a sentence for the foot of the window."""

    def __init__(self, master: tk.Misc, atoms: AtomsContent, say: Callable[[str], None]):
        super().__init__(master, style="Het.TFrame")
        self._atoms, self._say, self._plots = atoms, say, plots_of(atoms)
        self._shown = tk.StringVar(self, value=next(iter(self._plots)))
        self._along = tk.StringVar(self, value=next(iter(atoms.coordinates)))
        self._words = tk.StringVar(self)
        self._add_bar()
        words = ttk.Label(self, textvariable=self._words, style="Het.TLabel", padding=(12, 2, 12, 10))
        words.pack(side=tk.BOTTOM, fill=tk.X)
        words.bind("<Configure>", lambda event: words.configure(wraplength=event.width - 24))
        self._figure = palette.figure()
        self._canvas = FigureCanvasTkAgg(self._figure, master=self)
        self._canvas.get_tk_widget().configure(highlightthickness=0)
        self._canvas.get_tk_widget().pack(fill=tk.BOTH, expand=True, padx=6, pady=6)
        self.draw()

    def _add_bar(self) -> None:
        bar = ttk.Frame(self, style="Het.TFrame", padding=(10, 8, 10, 0))
        bar.pack(fill=tk.X)
        menus = (("Show", self._shown, list(self._plots)), ("along", self._along, list(self._atoms.coordinates)))
        for label, chosen, names in menus:
            ttk.Label(bar, text=label, style="Het.TLabel").pack(side=tk.LEFT, padx=(0, 5))
            menu = ttk.Combobox(bar, textvariable=chosen, values=names, state="readonly", width=20)
            menu.pack(side=tk.LEFT, padx=(0, 12))
            menu.bind("<<ComboboxSelected>>", lambda _event: self.draw())
            self._along_menu = menu
        if self._atoms.script is not None:
            ttk.Button(bar, text="Open in ChimeraX", style="Het.TButton", command=self.open_chimerax).pack(
                side=tk.RIGHT
            )

    def show(self, name: str, along: str = "") -> None:
        """Draw a plot, by its name, along a coordinate."""
        self._shown.set(name)
        self._along.set(along or self._along.get())
        self.draw()

    def draw(self) -> None:
        """Draw what is chosen, and tell it in words."""
        self._figure.clear()
        self._words.set(self._plots[self._shown.get()](self._figure, self._atoms, self._along.get()))
        self._along_menu.configure(state="readonly" if self._shown.get() == "motion" else "disabled")
        self._canvas.draw_idle()

    def open_chimerax(self) -> None:
        """Show models and maps in ChimeraX, where it is installed."""
        self._say(open_script(self._atoms.script))
