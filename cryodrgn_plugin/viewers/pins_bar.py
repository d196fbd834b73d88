"""Two pins in the latent space: the difference of their maps, a walk between them, and protocols that begin there."""

import tkinter as tk
from collections.abc import Callable
from dataclasses import dataclass
from tkinter import ttk

import numpy as np

STEP_MS, STEPS = 60, 60
"""Of a walk from pin to pin at speed 1."""
SPEEDS = ("0.25", "0.5", "1", "2", "4")
PINS = ("A", "B")


@dataclass(frozen=True)
class Pin:
    """A place of the latent space."""

    z: np.ndarray
    index: int | None
    """Of the particle that lies there, if one does."""
    name: str


@dataclass
class PinListeners:
    """Whom the pins tell what is wanted."""

    pinned: Callable[[str, Pin], None]
    difference: Callable[[Pin, Pin], None]
    """The map of the second less that of the first."""
    between: Callable[[Pin, Pin, float], None]
    """The map at a share of the way from the first to the second."""
    trajectory: Callable[[Pin, Pin], None] | None
    states: Callable[[list[Pin]], None] | None
    """Protocols; None where no project can take them."""


class PinsBar(ttk.Frame):
    """Pins A and B; `here()` gives the place that is looked at, or None."""

    def __init__(
        self,
        master: tk.Misc,
        here: Callable[[], Pin | None],
        listeners: PinListeners,
        say: Callable[[str], None],
    ):
        super().__init__(master, style="Het.TFrame", padding=(10, 6))
        self._here, self._listeners, self._say = here, listeners, say
        self.pins: dict[str, Pin] = {}
        self._words = {name: tk.StringVar(self, value="not set") for name in PINS}
        self._speed = tk.StringVar(self, value="1")
        self._share = tk.DoubleVar(self, value=0.0)
        self._forward = True
        self._playing: str | None = None
        self._build()

    def pin(self, name: str) -> None:
        """Pin the place that is looked at."""
        here = self._here()
        if here is None:
            self._say("Point at a particle first, or move a slider.")
            return
        self.pins[name] = here
        self._words[name].set(here.name)
        self._listeners.pinned(name, here)

    def difference(self) -> None:
        """Show the map of B less that of A."""
        if pins := self._both():
            self._listeners.difference(*pins)

    def walk_to(self, share: float) -> None:
        """Show the map at a share of the way from A to B."""
        self._share.set(share)
        if pins := self._both():
            self._listeners.between(*pins, share)

    def play(self) -> None:
        """Walk from A to B and back until asked again."""
        if self._playing is not None:
            self.after_cancel(self._playing)
            self._playing = None
        elif self._both():
            self._step()
        self._button.configure(text="▶ A to B" if self._playing is None else "❚❚ Pause")

    def destroy(self) -> None:
        """Take back what was to be done later, with the widgets."""
        if self._playing is not None:
            self.after_cancel(self._playing)
        super().destroy()

    # ---- building ----------------------------------------------------------
    def _build(self) -> None:
        first = self._row()
        for name in PINS:
            ttk.Button(first, text=f"Pin {name} here", style="Het.TButton", width=0,
                       command=lambda name=name: self.pin(name)).pack(side=tk.LEFT)  # fmt: skip
            ttk.Label(first, textvariable=self._words[name], style="Het.TLabel", width=18).pack(side=tk.LEFT, padx=6)
        ttk.Button(first, text="Map of B − A", style="Het.TButton", width=0, command=self.difference).pack(
            side=tk.RIGHT
        )
        second = self._row()
        self._button = ttk.Button(second, text="▶ A to B", style="Het.TButton", width=9, command=self.play)
        self._button.pack(side=tk.LEFT)
        walk = ttk.Scale(second, from_=0, to=1, variable=self._share, style="Het.Horizontal.TScale")
        walk.configure(command=lambda value: self.walk_to(float(value)))
        walk.pack(side=tk.LEFT, fill=tk.X, expand=True, padx=8)
        ttk.Label(second, text="Speed", style="Het.TLabel").pack(side=tk.LEFT, padx=(0, 4))
        ttk.Combobox(second, textvariable=self._speed, values=SPEEDS, state="readonly", width=4).pack(side=tk.LEFT)
        third = self._row()
        protocols = (
            ("States at the pins …", self._states, self._listeners.states),
            ("Trajectory between them …", self._trajectory, self._listeners.trajectory),
        )
        for text, do, taken in protocols:
            if taken is not None:
                ttk.Button(third, text=text, style="Het.TButton", width=0, command=do).pack(side=tk.RIGHT, padx=(6, 0))

    def _row(self) -> ttk.Frame:
        row = ttk.Frame(self, style="Het.TFrame")
        row.pack(fill=tk.X, pady=2)
        return row

    # ---- what they do ------------------------------------------------------
    def _both(self) -> tuple[Pin, Pin] | None:
        if len(self.pins) < len(PINS):
            self._say("Pin two places first: point at one, Pin A here; at another, Pin B here.")
            return None
        return self.pins["A"], self.pins["B"]

    def _step(self) -> None:
        """One step of a walk that goes to and fro."""
        share = self._share.get() + (1 if self._forward else -1) * float(self._speed.get()) / STEPS
        if not 0 <= share <= 1:
            self._forward = share < 0
            share = float(np.clip(share, 0, 1))
        self.walk_to(share)
        self._playing = self.after(STEP_MS, self._step)

    def _trajectory(self) -> None:
        if pins := self._both():
            self._listeners.trajectory(*pins)

    def _states(self) -> None:
        if self.pins:
            self._listeners.states(list(self.pins.values()))
        else:
            self._both()
