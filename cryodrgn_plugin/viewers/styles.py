"""Ttk styles of the plugin's windows, under names of their own so that the host's windows keep theirs."""

import tkinter as tk
from tkinter import ttk

from . import palette

FAMILY = "Helvetica"


def define_styles(root: tk.Misc) -> None:
    """Make the styles known to the interpreter of a window."""
    style = ttk.Style(root)
    paper = {"background": palette.PAPER}
    style.configure("Het.TFrame", **paper)
    style.configure("Het.TLabel", foreground=palette.INK, **paper)
    style.configure("HetBold.TLabel", foreground=palette.INK, font=(FAMILY, 11, "bold"), **paper)
    style.configure("HetMuted.TLabel", foreground=palette.MUTED, font=(FAMILY, 9), **paper)
    style.configure("HetFoot.TFrame", background=palette.FAINT)
    style.configure("HetFoot.TLabel", background=palette.FAINT, foreground=palette.INK, font=(FAMILY, 9))
    style.configure("Het.TNotebook", borderwidth=0, **paper)
    style.configure("Het.TNotebook.Tab", padding=(12, 5))
    style.configure("Het.TButton", padding=(6, 2))
    style.configure("Het.TCheckbutton", foreground=palette.INK, **paper)
    style.configure("Het.TRadiobutton", foreground=palette.INK, **paper)
    style.configure("Het.Horizontal.TScale", **paper)
