"""A training as it goes on: how far it is, its curves, where particles lie by now, and buttons that end it."""

import subprocess
import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

import numpy as np
from matplotlib.backends.backend_tkagg import FigureCanvasTkAgg
from pyworkflow.gui import Window

from ..engine.errors import EngineError
from ..engine.run import Run
from ..plugin import Plugin
from ..protocols.training_state import COUNTED, how_it_stands
from . import palette
from .curve_panels import NOT_CURVES
from .styles import define_styles

EVERY_MS = 1000
MOST_POINTS = 20_000
"""More particles than this are drawn as a random part of them."""
ENDING = "The training ends with this {word}; its outputs then appear in the project."
STOPPING = "The training stops; Continue goes on with it."


class LiveWindow(Window):
    """Window over a training that goes on.

    Parameters
    ----------
    run : of the protocol that trains.
    title : of the window.
    extent_ang : the width of an image.
    works : whether the protocol is still at work.
    stop : marks the protocol as stopped, once the training is.
    explore : opens the explorer.
    """

    def __init__(
        self,
        run: Run,
        title: str,
        extent_ang: float,
        works: Callable[[], bool],
        stop: Callable[[], None],
        explore: Callable[[], None],
        **kwargs,
    ):
        super().__init__(title=title, minsize=(820, 480), **kwargs)
        self._run, self._extent_ang = run, extent_ang
        self._works, self._stop, self._explore = works, stop, explore
        self._latest: subprocess.Popen | None = None
        self._drawn: tuple = ()
        self._stopping = False
        self._said = tk.StringVar(self.root)
        # Where an epoch trains a network a look costs little; in a closed form it costs about as much as a step.
        self._follows = tk.BooleanVar(self.root, value=run.config.recipe not in COUNTED)
        define_styles(self.root)
        self.root.configure(bg=palette.PAPER)
        self.root.geometry("1000x620")
        self._build()
        self.root.bind("<Destroy>", self._closed, add="+")
        self.refresh()

    # ---- what it is made of ------------------------------------------------
    def _build(self) -> None:
        bar = ttk.Frame(self.root, style="Het.TFrame", padding=(12, 10))
        bar.pack(side=tk.TOP, fill=tk.X)
        ttk.Label(bar, textvariable=self._said, style="HetBold.TLabel", wraplength=960, justify=tk.LEFT).pack(
            side=tk.TOP, anchor=tk.W
        )
        buttons = ttk.Frame(self.root, style="HetFoot.TFrame", padding=(12, 8))
        buttons.pack(side=tk.BOTTOM, fill=tk.X)
        self.keep_button = ttk.Button(buttons, text="Stop and keep", style="Het.TButton", command=self.keep)
        self.stop_button = ttk.Button(buttons, text="Stop", style="Het.TButton", command=self.stop)
        self.latest_button = ttk.Button(buttons, text="Particles now", style="Het.TButton", command=self.look)
        explore = ttk.Button(buttons, text="Open the explorer", style="Het.TButton", command=self._explore)
        for button in (self.keep_button, self.stop_button):
            button.pack(side=tk.LEFT, padx=(0, 8))
        for button in (explore, self.latest_button):
            button.pack(side=tk.RIGHT, padx=(8, 0))
        word = COUNTED.get(self._run.config.recipe, "epoch")
        tick = ttk.Checkbutton(buttons, text=f"after every {word}", variable=self._follows)
        tick.pack(side=tk.RIGHT)
        self._figure = palette.figure(10, 4.6)
        self._canvas = FigureCanvasTkAgg(self._figure, master=self.root)
        self._canvas.get_tk_widget().configure(highlightthickness=0)
        self._canvas.get_tk_widget().pack(side=tk.TOP, fill=tk.BOTH, expand=True, padx=8)

    # ---- what its buttons do -----------------------------------------------
    def keep(self) -> None:
        """End the training with its epoch or step and keep what it has found."""
        self._ask(keep=True)

    def stop(self) -> None:
        """Stop the training at its next checkpoint, and the protocol with it."""
        self._ask(keep=False)
        self._stopping = True

    def _ask(self, keep: bool) -> None:
        try:
            self._run.ask_to_stop(keep)
        except EngineError as error:
            self._said.set(str(error))
            return
        for button in (self.keep_button, self.stop_button):
            button.state(["disabled"])

    def look(self) -> None:
        """Let the engine make latents of the last checkpoint, in a process of its own."""
        if self._latest is None and self._run.latest_checkpoint() is not None:
            command = [Plugin.getEnginePython(), "-m", "cryodrgn_plugin.engine.cli"]
            self._latest = subprocess.Popen(
                [*command, "info", str(self._run.path), "--latest"],
                env=Plugin.getEnviron(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip

    # ---- as time goes on ---------------------------------------------------
    def refresh(self) -> None:
        """Show how it stands, and come back in a second."""
        try:
            self._said.set(" ".join(self._sentences()))
            self._follow()
            self._draw()
        except EngineError as error:  # a file that is being written just now; or something to be told
            self._said.set(str(error))
        if not self.isClosed():
            self._next = self.root.after(EVERY_MS, self.refresh)

    def isClosed(self) -> bool:
        """Whether the window is gone."""
        return not self.root.winfo_exists()

    def _sentences(self) -> list[str]:
        works = self._works()
        if self._stopping and self._run.status != "running":
            self._stopping = False
            self._stop()
        if not works:
            for button in (self.keep_button, self.stop_button):
                button.state(["disabled"])
        word = COUNTED.get(self._run.config.recipe, "epoch")
        lines = how_it_stands(self._run, works, self._extent_ang, can_be_kept=False)
        if works and self._run.stop_file.exists():
            lines.append(STOPPING if self._stopping else ENDING.format(word=word))
        return lines

    def _follow(self) -> None:
        if self._latest is not None and self._latest.poll() is not None:
            self._latest.communicate()
            self._latest = None
        checkpoint = self._run.latest_checkpoint()
        if self._follows.get() and checkpoint is not None and self._is_behind(checkpoint):
            self.look()

    def _is_behind(self, checkpoint) -> bool:
        latents = self._run.latents_file
        return not latents.exists() or latents.stat().st_mtime < checkpoint.stat().st_mtime

    def _draw(self) -> None:
        """The curve that says most, and the particles; only what has changed is drawn."""
        rows = self._run.metrics()
        there = self._run.latents_file.exists()
        state = (len(rows), self._run.latents_file.stat().st_mtime if there else 0)
        if state == self._drawn:
            return
        self._drawn = state
        self._figure.clear()
        curve, picture = self._figure.subplots(1, 2)
        self._draw_curve(curve, rows)
        self._draw_particles(picture, there)
        self._canvas.draw_idle()

    def _draw_curve(self, axes, rows: list[dict[str, float]]) -> None:
        names = [name for row in rows[:1] for name in row if name not in NOT_CURVES]
        name = "loss" if "loss" in names else next(iter(names), "")
        if not name:
            palette.note(axes, "No epoch or step is over yet.")
            return
        points = [(row["epoch"], row[name]) for row in rows if name in row]
        axes.plot(*zip(*points, strict=True), "-", color=palette.CATEGORIES[0], lw=1.8)
        palette.tidy(axes, COUNTED.get(self._run.config.recipe, "epoch"), name.replace("_", " "))
        axes.grid(axis="y", color=palette.FAINT, lw=0.8)

    def _draw_particles(self, axes, there: bool) -> None:
        if not there:
            palette.note(axes, "Press *Particles now* to see where they lie.".replace("*", ""))
            return
        latents = self._run.latents()
        z = latents.z
        if not z.shape[1]:
            palette.note(axes, "One map: particles lie in no latent space.")
            return
        shown = np.random.default_rng(0).permutation(len(z))[:MOST_POINTS]
        second = z[shown, 1] if z.shape[1] > 1 else np.zeros(len(shown))
        size = float(np.clip(24000 / len(shown), 2, 16))
        axes.scatter(z[shown, 0], second, s=size, c=palette.CATEGORIES[0], alpha=0.6, linewidths=0)
        inside = [
            np.quantile(values, (0.005, 0.995)) for values in (z[shown, 0], second)
        ]  # a few far off hide the rest
        for (low, high), limit in zip(inside, (axes.set_xlim, axes.set_ylim), strict=True):
            margin = 0.06 * (high - low) or 1.0
            limit(low - margin, high + margin)
        title = f"particles {latents.unfinished}" if latents.unfinished else "particles"
        palette.tidy(axes, "z1", "z2" if z.shape[1] > 1 else "").set_title(
            title, fontsize=10, color=palette.INK, loc="left"
        )

    def _closed(self, event) -> None:
        if event.widget is self.root and self._latest is not None:
            self._latest.terminate()
