"""The wizard beside *Window radius*: a circle on the average of the images."""

import tkinter as tk
from tkinter import ttk

import numpy as np
from matplotlib.backends.backend_tkagg import FigureCanvasTkAgg
from matplotlib.patches import Circle
from pyworkflow.gui.dialog import RESULT_CANCEL, RESULT_YES, Dialog, showError
from pyworkflow.wizard import Wizard

from ..engine.errors import EngineError
from ..protocols import ProtHetAbInitio, ProtHetRefinePoses, ProtHetTrain
from ..viewers import palette

TITLE = "Window radius"
SMALLEST, LARGEST = 0.2, 1.0


class HetWindowWizard(Wizard):
    """Draw the window on the average image."""

    _targets = [(protocol, ["window"]) for protocol in (ProtHetTrain, ProtHetAbInitio, ProtHetRefinePoses)]

    def show(self, form, *params):
        from .average_image import average_image

        particles = form.protocol.inputParticles.get()
        if particles is None:
            showError(TITLE, "Choose the input particles first.", form.root)
            return
        try:
            image = average_image(particles)
        except EngineError as error:
            showError(TITLE, str(error), form.root)
            return
        dialog = WindowDialog(form.root, image, particles.getSamplingRate(), form.protocol.window.get() or 0.85)
        if dialog.resultYes():
            form.setVar("window", round(dialog.radius.get(), 2))


class WindowDialog(Dialog):
    """The average image (D, D) with a circle whose `radius` a slider sets, as a share of half the box."""

    def __init__(self, parent, image: np.ndarray, pixel_size_ang: float, radius: float):
        self._image, self._pixel_size_ang, self._start = image, pixel_size_ang, radius
        super().__init__(parent, TITLE, buttons=[("Select", RESULT_YES), ("Cancel", RESULT_CANCEL)])

    def body(self, bodyFrame):
        bodyFrame.config(bg=palette.PAPER)
        text = "What lies outside of the circle is faded out of every image. Leave room around the molecule: it moves."
        tk.Label(bodyFrame, text=text, bg=palette.PAPER, justify=tk.LEFT, wraplength=460).grid(
            row=0, column=0, sticky="w", padx=10, pady=(10, 4)
        )
        figure = palette.figure(4.6, 4.6)
        axes = figure.add_subplot()
        size = len(self._image)
        low, high = np.percentile(self._image, (1, 99))
        axes.imshow(self._image, cmap="gray", vmin=low, vmax=high, origin="lower")
        axes.set_axis_off()
        self._circle = Circle((size // 2, size // 2), 1, fill=False, color=palette.ACCENT, lw=2)
        axes.add_patch(self._circle)
        self._canvas = FigureCanvasTkAgg(figure, master=bodyFrame)
        self._canvas.get_tk_widget().grid(row=1, column=0, padx=10)
        self._told = tk.StringVar(bodyFrame)
        self.radius = tk.DoubleVar(bodyFrame, value=self._start)
        scale = ttk.Scale(
            bodyFrame, from_=SMALLEST, to=LARGEST, variable=self.radius, length=440, command=lambda _value: self._draw()
        )
        scale.grid(row=2, column=0, padx=10, pady=(6, 0))
        tk.Label(bodyFrame, textvariable=self._told, bg=palette.PAPER).grid(row=3, column=0, pady=(2, 8))
        self._draw()

    def _draw(self) -> None:
        share = self.radius.get()
        radius_px = share * len(self._image) / 2
        self._circle.set_radius(radius_px)
        self._told.set(f"{share:.2f} of half the box: {radius_px:.0f} px, {radius_px * self._pixel_size_ang:.0f} Å")
        self._canvas.draw_idle()
