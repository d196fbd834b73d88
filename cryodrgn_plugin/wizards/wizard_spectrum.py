"""The wizard beside *Latent dimensions*: the directions that stand out from noise in some of the images."""

import tkinter as tk
from collections.abc import Callable

from matplotlib.backends.backend_tkagg import FigureCanvasTkAgg
from pyworkflow.gui.dialog import RESULT_CANCEL, RESULT_YES, Dialog, showError
from pyworkflow.wizard import Wizard

from ..engine.errors import EngineError
from ..protocols import ProtHetTrain
from ..viewers import palette

TITLE = "Latent dimensions"
EVERY_MS = 300
MOST = 64


class HetSpectrumWizard(Wizard):
    """Choose the latent dimensions by a quick spectrum."""

    _targets = [(ProtHetTrain, ["zDim"])]

    def show(self, form, *params):
        from .quick_spectrum import QuickSpectrum

        particles = form.protocol.inputParticles.get()
        if particles is None or not particles.hasAlignmentProj():
            showError(TITLE, "Choose input particles with orientations first.", form.root)
            return
        try:
            asked = QuickSpectrum(particles, form.protocol.getProject().path)
        except EngineError as error:
            showError(TITLE, str(error), form.root)
            return
        try:
            dialog = SpectrumDialog(form.root, asked, form.protocol.zDim.get())
        finally:
            asked.close()
        if dialog.resultYes():
            form.setVar("zDim", dialog.dimensions)


class SpectrumDialog(Dialog):
    """Waits for a spectrum and draws it; the number that is left in its field is in `dimensions`."""

    def __init__(self, parent, asked, current: int | None):
        self._asked, self.spectrum = asked, None
        self.dimensions = current or 8
        super().__init__(parent, TITLE, buttons=[("Select", RESULT_YES), ("Cancel", RESULT_CANCEL)])

    def body(self, bodyFrame):
        bodyFrame.config(bg=palette.PAPER)
        self._said = tk.StringVar(bodyFrame)
        label = tk.Label(bodyFrame, textvariable=self._said, bg=palette.PAPER, justify=tk.LEFT, wraplength=500)
        label.grid(row=0, column=0, sticky="w", padx=10, pady=(10, 4))
        self._figure = palette.figure(5.2, 3.0)
        self._canvas = FigureCanvasTkAgg(self._figure, master=bodyFrame)
        self._canvas.get_tk_widget().grid(row=1, column=0, padx=10)
        line = tk.Frame(bodyFrame, bg=palette.PAPER)
        line.grid(row=2, column=0, sticky="w", padx=10, pady=8)
        tk.Label(line, text="Latent dimensions", bg=palette.PAPER).pack(side=tk.LEFT, padx=(0, 8))
        self._field = tk.IntVar(bodyFrame, value=self.dimensions)
        self._field.trace_add("write", lambda *_: self._take())
        tk.Spinbox(line, from_=1, to=MOST, textvariable=self._field, width=5).pack(side=tk.LEFT)
        self._look()

    def _take(self) -> None:
        try:
            self.dimensions = max(1, self._field.get())
        except tk.TclError:  # an empty field, or letters
            return

    def _look(self) -> None:
        """Show how far it is, or what came of it."""
        found, failure = self._asked.found(), self._asked.failure
        if found is not None:
            self.spectrum = found
            self._draw()
        elif failure:
            self._said.set(failure)
        else:
            self._said.set(f"Looking at {self._asked.images:,} of the images: {self._asked.how_far} …")
            self._again: Callable | str = self.after(EVERY_MS, self._look)

    def _draw(self) -> None:
        found = self.spectrum
        verb = "directions stand" if found.count != 1 else "direction stands"
        self._said.set(
            f"{found.count} {verb} out from noise in {found.images:,} images; all of them may show more. A motion that "
            "bends takes more dimensions than one, and the recipe fast leaves out those that carry nothing."
        )
        numbers = range(1, len(found.information) + 1)
        colours = [palette.CATEGORIES[0] if number <= found.count else palette.NEUTRAL for number in numbers]
        axes = palette.tidy(self._figure.add_subplot(), "direction", "what an image tells of it")
        axes.bar(numbers, found.information, color=colours, width=0.7)
        axes.axhline(found.of_noise, color=palette.ACCENT, lw=1, ls=(0, (4, 3)))
        axes.text(
            len(found.information) + 0.5,
            found.of_noise,
            "noise",
            color=palette.ACCENT,
            fontsize=8,
            ha="right",
            va="bottom",
        )
        axes.set_xticks(list(numbers))
        self._canvas.draw_idle()
        self._field.set(max(found.count + 1, 2))
