"""The selection under the latent space: what was drawn, clicked or typed, kept under names, and given to a protocol."""

import tkinter as tk
from collections.abc import Callable, Mapping
from tkinter import ttk

import numpy as np

from ..engine.errors import EngineError
from .chosen_particles import NEW, WAYS, Selections, completed, following, last_word

MOST_OFFERED = 6


class SelectionBar(ttk.Frame):
    """Widgets of a `Selections`.

    Parameters
    ----------
    on_change : called with the selected particles (N,) bool, or None, whenever they change.
    on_create : called with them and their name when a subset is wanted; None where no project can take it.
    say : shows a sentence.
    """

    def __init__(
        self,
        master: tk.Misc,
        n: int,
        on_change: Callable[[np.ndarray | None], None],
        on_create: Callable[[np.ndarray, str], None] | None,
        say: Callable[[str], None],
    ):
        super().__init__(master, style="Het.TFrame", padding=(10, 6))
        self.selections = Selections(n)
        self._on_change, self._on_create, self._say = on_change, on_create, say
        self._columns: Mapping[str, np.ndarray] | None = None
        self._way = tk.StringVar(self, value=NEW)
        self._told = tk.StringVar(self)
        self._rule = tk.StringVar(self)
        self._offered = tk.StringVar(self)
        self._called = tk.StringVar(self)
        self._build()
        self._changed()

    # ---- what others ask of it ---------------------------------------------
    def take(self, these: np.ndarray) -> None:
        """Choose particles (N,) bool, in the way that is set."""
        self.selections.take(these, self._way.get())
        self._changed()

    def use_way(self, way: str) -> None:
        """Set what becomes of the selection when particles are chosen."""
        self._way.set(way)

    def offer(self, columns: Mapping[str, np.ndarray]) -> None:
        """Let rules use these columns."""
        self._columns = columns

    def follow(self, rule: str) -> None:
        """Choose the particles that a rule is true of."""
        self._rule.set(rule)
        if self._columns is None:
            self._say("The columns of the particles are still being read; try again in a moment.")
            return
        try:
            self.take(following(rule, self._columns, self.selections.n))
        except EngineError as error:
            self._say(str(error))

    def keep(self, name: str = "") -> None:
        """Keep the selection under a name."""
        if self.selections.chosen is None:
            self._say("Nothing is selected yet: draw a line, click a class of the legend or type a rule.")
            return
        self._called.set(self.selections.keep(name))
        self._kept_menu.configure(values=list(self.selections.kept))
        self._say(f"Kept {self.selections.count:,} particles as {self._called.get()}.")

    def recall(self, name: str) -> None:
        """Choose the particles that were kept under a name, in the way that is set."""
        self._called.set(name)
        if name in self.selections.kept:
            self.take(self.selections.kept[name])

    def clear(self) -> None:
        """Choose nothing."""
        self.selections.clear()
        self._changed()

    def create(self) -> None:
        """Let a protocol make a set of the selected particles."""
        if not self.selections.count:
            self._say("Nothing is selected yet: draw a line, click a class of the legend or type a rule.")
        elif self._on_create is not None:
            name = self._called.get().strip() or "selection"
            self._on_create(self.selections.chosen, name)

    # ---- building ----------------------------------------------------------
    def _build(self) -> None:
        first = self._row()
        ttk.Label(first, textvariable=self._told, style="Het.TLabel").pack(side=tk.LEFT)
        for text, do in (("Clear", self.selections.clear), ("Others", self.selections.invert),
                         ("Undo", self.selections.undo)):  # fmt: skip
            self._button(first, text, lambda do=do: (do(), self._changed())).pack(side=tk.RIGHT, padx=(4, 0))
        self._ways = ttk.Combobox(first, textvariable=self._way, values=list(WAYS), state="readonly", width=8)
        self._ways.pack(side=tk.RIGHT, padx=(4, 8))
        ttk.Label(first, text="The next choice", style="HetMuted.TLabel").pack(side=tk.RIGHT)

        second = self._row()
        ttk.Label(second, text="Rule", style="Het.TLabel").pack(side=tk.LEFT, padx=(0, 6))
        self._entry = ttk.Entry(second, textvariable=self._rule, width=34)
        self._entry.pack(side=tk.LEFT, fill=tk.X, expand=True)
        self._entry.bind("<Return>", lambda _event: self.follow(self._rule.get()))
        self._entry.bind("<KeyRelease>", lambda _event: self._offer_names())
        self._entry.bind("<Tab>", lambda _event: self._complete())
        ttk.Label(second, textvariable=self._offered, style="HetMuted.TLabel").pack(side=tk.LEFT, padx=6)
        self._button(second, "Select", lambda: self.follow(self._rule.get())).pack(side=tk.RIGHT)

        third = self._row()
        ttk.Label(third, text="Name", style="Het.TLabel").pack(side=tk.LEFT, padx=(0, 6))
        self._kept_menu = ttk.Combobox(third, textvariable=self._called, width=22)
        self._kept_menu.pack(side=tk.LEFT)
        self._kept_menu.bind("<<ComboboxSelected>>", lambda _event: self.recall(self._called.get()))
        self._button(third, "Keep", lambda: self.keep(self._called.get())).pack(side=tk.LEFT, padx=4)
        if self._on_create is not None:
            self._button(third, "Create subset …", self.create).pack(side=tk.RIGHT)

    def _row(self) -> ttk.Frame:
        row = ttk.Frame(self, style="Het.TFrame")
        row.pack(fill=tk.X, pady=2)
        return row

    @staticmethod
    def _button(row: ttk.Frame, text: str, do: Callable[[], object]) -> ttk.Button:
        return ttk.Button(row, text=text, command=do, style="Het.TButton", width=0)

    # ---- what follows from a change ----------------------------------------
    def _changed(self) -> None:
        chosen, n = self.selections.chosen, self.selections.n
        self._told.set("Nothing is selected." if chosen is None else f"{self.selections.count:,} of {n:,} selected")
        self._on_change(chosen)

    def _names(self) -> list[str]:
        return completed(self._rule.get(), list(self._columns)) if self._columns is not None else []

    def _offer_names(self) -> None:
        names = self._names()
        more = " …" if len(names) > MOST_OFFERED else ""
        self._offered.set("Tab: " + ", ".join(names[:MOST_OFFERED]) + more if names else "")

    def _complete(self) -> str:
        names = self._names()
        if names:
            rule = self._rule.get()
            self._rule.set(rule[: len(rule) - len(last_word(rule))] + names[0])
            self._entry.icursor(tk.END)
            self._offer_names()
        return "break"
