"""The wizard beside *Box after downsampling*: what each box keeps and costs."""

import tkinter as tk
from tkinter import ttk

from pyworkflow.gui.dialog import RESULT_CANCEL, RESULT_YES, Dialog, showError
from pyworkflow.wizard import Wizard

from ..protocols import ProtHetAbInitio, ProtHetRefinePoses, ProtHetTrain
from .boxes import BoxChoice, box_choices

COLUMNS = (
    ("box", "Box (px)", 90, tk.E),
    ("pixel", "Pixel (Å)", 100, tk.E),
    ("finest", "Finest detail (Å)", 150, tk.E),
    ("time", "Time", 90, tk.E),
    ("memory", "Map memory", 130, tk.E),
    ("remark", "", 330, tk.W),
)
WIDTH = sum(width for _, _, width, _ in COLUMNS)


class HetBoxWizard(Wizard):
    """Choose the box after downsampling from a table."""

    _targets = [(protocol, ["box"]) for protocol in (ProtHetTrain, ProtHetAbInitio, ProtHetRefinePoses)]

    def show(self, form, *params):
        particles = form.protocol.inputParticles.get()
        if particles is None:
            showError("Box after downsampling", "Choose the input particles first.", form.root)
            return
        choices = box_choices(particles.getXDim(), particles.getSamplingRate())
        dialog = BoxDialog(form.root, choices, form.protocol.box.get())
        if dialog.resultYes() and dialog.choice is not None:
            form.setVar("box", dialog.choice.box)


class BoxDialog(Dialog):
    """Table of boxes; the chosen one is in `choice`."""

    def __init__(self, parent, choices: list[BoxChoice], current: int | None):
        self.choice: BoxChoice | None = None
        self._choices = choices
        self._current = current
        super().__init__(parent, "Box after downsampling", buttons=[("Select", RESULT_YES), ("Cancel", RESULT_CANCEL)])

    def body(self, bodyFrame):
        bodyFrame.config(bg="white")
        text = (
            "Downsampling makes everything quicker and blurs detail finer than two of the new pixels.\n"
            "Time and memory are relative to the engine's own choice (box = 0)."
        )
        label = tk.Label(bodyFrame, text=text, justify=tk.LEFT, bg="white")
        label.grid(row=0, column=0, sticky="w", padx=8, pady=(8, 6))
        self.tree = self._table(bodyFrame)
        self.tree.grid(row=1, column=0, sticky="news", padx=8)
        self._bar = tk.Canvas(bodyFrame, width=WIDTH, height=46, bg="white", highlightthickness=0)
        self._bar.grid(row=2, column=0, sticky="ew", padx=8, pady=8)
        self.tree.bind("<<TreeviewSelect>>", lambda _event: self._selected())
        self.tree.bind("<Double-1>", lambda _event: self._handleResult(RESULT_YES))
        self.select(self._first())
        self.initial_focus = self.tree

    def select(self, box: int) -> None:
        """Choose a box by its size."""
        self.tree.selection_set(str(box))
        self.tree.see(str(box))
        self._selected()

    def _table(self, master) -> ttk.Treeview:
        names = [name for name, *_ in COLUMNS]
        ttk.Style(master).configure("HetBox.Treeview", rowheight=26)
        tree = ttk.Treeview(
            master,
            columns=names,
            show="headings",
            height=len(self._choices),
            selectmode="browse",
            style="HetBox.Treeview",
        )
        for name, title, width, anchor in COLUMNS:
            tree.heading(name, text=title, anchor=anchor)
            tree.column(name, width=width, anchor=anchor, stretch=name == "remark")
        for item in self._choices:
            values = (
                item.box, f"{item.pixel_size_ang:.2f}", f"{item.finest_ang:.1f}", f"× {item.time:.2g}",
                f"× {item.memory:.2g}", f"     {item.remark}",
            )  # fmt: skip
            tree.insert("", tk.END, iid=str(item.box), values=values)
        return tree

    def _first(self) -> int:
        boxes = [item.box for item in self._choices]
        if self._current in boxes:
            return self._current
        return next(item.box for item in self._choices if "engine" in item.remark)

    def _selected(self) -> None:
        chosen = self.tree.selection()
        self.choice = next((item for item in self._choices if str(item.box) in chosen), None)
        self._draw_bar()

    def _draw_bar(self) -> None:
        """The share of the particles' own detail that the choice keeps, as a bar from coarse to fine."""
        self._bar.delete("all")
        if self.choice is None:
            return
        own = self._choices[-1]
        share = self.choice.box / own.box
        self._bar.create_rectangle(0, 6, WIDTH, 18, fill="#e3e7ec", width=0)
        self._bar.create_rectangle(0, 6, WIDTH * share, 18, fill="#4e79a7", width=0)
        text = f"keeps detail down to {self.choice.finest_ang:.1f} Å; the particles reach {own.finest_ang:.1f} Å"
        self._bar.create_text(0, 34, text=text, anchor=tk.W, fill="#222b36")
