"""A dialog with a table to choose a row of."""

import tkinter as tk
from collections.abc import Sequence
from dataclasses import dataclass
from tkinter import ttk

from pyworkflow.gui.dialog import RESULT_CANCEL, RESULT_YES, Dialog

MOST_ROWS = 14


@dataclass(frozen=True)
class Column:
    """A column of the table: its title, and how wide it is in pixels."""

    title: str
    width: int = 110
    anchor: str = tk.E


class TableDialog(Dialog):
    """A sentence, and a table of texts below it; the place of the chosen row is in `row`, or None."""

    def __init__(
        self, parent, title: str, message: str, columns: Sequence[Column], rows: Sequence[Sequence[str]], first: int = 0
    ):
        self.row: int | None = None
        self._message, self._columns, self._rows, self._first = message, columns, rows, first
        super().__init__(parent, title, buttons=[("Select", RESULT_YES), ("Cancel", RESULT_CANCEL)])

    def body(self, bodyFrame):
        bodyFrame.config(bg="white")
        width = sum(column.width for column in self._columns)
        label = tk.Label(bodyFrame, text=self._message, justify=tk.LEFT, bg="white", wraplength=max(width, 420))
        label.grid(row=0, column=0, columnspan=2, sticky="w", padx=8, pady=(8, 6))
        ttk.Style(bodyFrame).configure("HetTable.Treeview", rowheight=26)
        names = [str(k) for k in range(len(self._columns))]
        height = min(len(self._rows), MOST_ROWS)
        self.tree = ttk.Treeview(
            bodyFrame, columns=names, show="headings", height=height, selectmode="browse", style="HetTable.Treeview"
        )
        for name, column in zip(names, self._columns, strict=True):
            self.tree.heading(name, text=column.title, anchor=column.anchor)
            self.tree.column(name, width=column.width, anchor=column.anchor)
        for place, values in enumerate(self._rows):
            self.tree.insert("", tk.END, iid=str(place), values=tuple(values))
        self.tree.grid(row=1, column=0, sticky="news", padx=(8, 0), pady=(0, 8))
        if len(self._rows) > MOST_ROWS:
            bar = ttk.Scrollbar(bodyFrame, orient=tk.VERTICAL, command=self.tree.yview)
            bar.grid(row=1, column=1, sticky="ns", pady=(0, 8))
            self.tree.configure(yscrollcommand=bar.set)
        self.tree.bind("<<TreeviewSelect>>", lambda _event: self._selected())
        self.tree.bind("<Double-1>", lambda _event: self._handleResult(RESULT_YES))
        self.select(self._first)
        self.initial_focus = self.tree

    def select(self, row: int) -> None:
        """Choose a row by its place."""
        self.tree.selection_set(str(row))
        self.tree.see(str(row))
        self._selected()

    def _selected(self) -> None:
        chosen = self.tree.selection()
        self.row = int(chosen[0]) if chosen else None
