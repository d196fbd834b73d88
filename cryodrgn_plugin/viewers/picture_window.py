"""A window of its own for figures."""

import tkinter as tk

from pyworkflow.gui import Window

from . import palette
from .picture_panel import PicturePanel
from .styles import define_styles

SIZE = (1280, 800)


class PictureWindow(Window):
    """Pictures (name, file) as large as the screen allows."""

    def __init__(self, title: str, pictures: list[tuple[str, str]], **kwargs):
        super().__init__(title=title, minsize=(700, 450), **kwargs)
        define_styles(self.root)
        self.root.configure(bg=palette.PAPER)
        screen = self.root.winfo_screenwidth(), self.root.winfo_screenheight()
        width, height = (min(wanted, round(0.95 * there)) for wanted, there in zip(SIZE, screen, strict=True))
        self.root.geometry(f"{width}x{height}")
        self.pictures = PicturePanel(self.root, pictures)
        self.pictures.pack(fill=tk.BOTH, expand=True)
