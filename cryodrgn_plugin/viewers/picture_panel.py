"""Figures that the engine drew, one at a time, as large as the window allows."""

import tkinter as tk
from tkinter import ttk

from PIL import Image, ImageTk

from . import palette


class PicturePanel(ttk.Frame):
    """A menu of pictures (name, file) and the one that is chosen."""

    def __init__(self, master: tk.Misc, pictures: list[tuple[str, str]]):
        super().__init__(master, style="Het.TFrame")
        self._files = dict(pictures)
        self._chosen = tk.StringVar(value=next(iter(self._files), ""))
        self._shown: Image.Image | None = None
        self._on_screen: ImageTk.PhotoImage | None = None
        if len(self._files) > 1:
            self._add_menu()
        self._paper = tk.Label(self, bg=palette.PAPER, bd=0)
        self._paper.pack(fill=tk.BOTH, expand=True, padx=8, pady=8)
        self._paper.bind("<Configure>", lambda _event: self._fit())
        self._open()

    def select(self, name: str) -> None:
        """Show another picture, by its name."""
        self._chosen.set(name)
        self._open()

    def _add_menu(self) -> None:
        bar = ttk.Frame(self, style="Het.TFrame", padding=(10, 8, 10, 0))
        bar.pack(fill=tk.X)
        ttk.Label(bar, text="Figure", style="Het.TLabel").pack(side=tk.LEFT, padx=(0, 5))
        box = ttk.Combobox(bar, textvariable=self._chosen, values=list(self._files), state="readonly", width=28)
        box.pack(side=tk.LEFT)
        box.bind("<<ComboboxSelected>>", lambda _event: self._open())

    def _open(self) -> None:
        if self._chosen.get():
            with Image.open(self._files[self._chosen.get()]) as picture:
                self._shown = picture.convert("RGB")
            self._fit()

    def _fit(self) -> None:
        """Draw the picture at the size of its place, never larger than it is."""
        room = self._paper.winfo_width(), self._paper.winfo_height()
        if self._shown is None or min(room) < 20:
            return
        fitted = self._shown.copy()
        fitted.thumbnail(room, Image.Resampling.LANCZOS)
        self._on_screen = ImageTk.PhotoImage(fitted, master=self)
        self._paper.configure(image=self._on_screen)
