"""Sliders along the latent coordinates: a free point, which need not be a particle."""

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

import numpy as np

MOST = 12
COLUMNS = 3
LENGTH_PX = 90


class ZSliders(ttk.Frame):
    """A slider for each of the first `MOST` coordinates of z (N, Z); `on_move` is called with the point (Z,) given."""

    def __init__(self, master: tk.Misc, z: np.ndarray, names: tuple[str, ...], on_move: Callable[[np.ndarray], None]):
        super().__init__(master, style="Het.TFrame", padding=(10, 6))
        self._z = z.mean(axis=0).astype(np.float32)
        self._middle = self._z.copy()
        self._on_move = on_move
        self._values = [tk.DoubleVar(self, value=float(number)) for number in self._z[:MOST]]
        self._words = [tk.StringVar(self) for _ in self._values]
        rows = -(-len(self._values) // COLUMNS)
        for place, name in enumerate(names[: len(self._values)]):
            self._add(place, name, rows, z[:, place])
        ttk.Button(self, text="Mean", style="Het.TButton", width=0, command=self.middle).grid(
            row=0, column=3 * COLUMNS, rowspan=max(rows, 1), padx=(12, 0)
        )
        self.show(self._z)

    def show(self, z: np.ndarray) -> None:
        """Move the sliders to a point (Z,) without telling anyone."""
        self._z = np.array(z, np.float32)
        for value, words, number in zip(self._values, self._words, self._z, strict=False):
            value.set(float(number))
            words.set(f"{number:.3g}")

    def middle(self) -> None:
        """Go to the mean of all particles."""
        self.show(self._middle)
        self._on_move(self._z.copy())

    def _add(self, place: int, name: str, rows: int, along: np.ndarray) -> None:
        column, row = divmod(place, rows)
        left = 3 * column
        ttk.Label(self, text=name, style="Het.TLabel").grid(
            row=row, column=left, sticky="w", padx=(12 * bool(column), 4)
        )
        scale = ttk.Scale(
            self, from_=float(along.min()), to=float(along.max()), variable=self._values[place], length=LENGTH_PX,
            style="Het.Horizontal.TScale", command=lambda value, place=place: self._moved(place, float(value)),
        )  # fmt: skip
        scale.grid(row=row, column=left + 1, sticky="ew", pady=1)
        ttk.Label(self, textvariable=self._words[place], style="HetMuted.TLabel", width=7).grid(
            row=row, column=left + 2, sticky="w", padx=4
        )
        self.columnconfigure(left + 1, weight=1)

    def _moved(self, place: int, value: float) -> None:
        self._z[place] = value
        self._words[place].set(f"{value:.3g}")
        self._on_move(self._z.copy())
