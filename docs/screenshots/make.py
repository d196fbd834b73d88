"""Pictures of the plugin in Scipion's windows, from a finished demo.

    xvfb-run -s "-screen 0 1600x1000x24" python docs/screenshots/make.py demo

writes explorer.png, curve.png, particle.png, selection.png, pins.png, resolution.png, form.png, wizard.png and
project.png beside this file.
"""

import os
import sys
import time
from pathlib import Path

from cryodrgn_plugin import scipion_home

HERE = Path(__file__).resolve().parent


def main(folder: str) -> None:
    """Open the demo's project in `folder` and take every picture."""
    scipion_home.use(folder)
    os.environ.setdefault("SCIPION_PRIORITY_PACKAGE_LIST", "pwem")
    from pyworkflow.gui.project import ProjectWindow
    from pyworkflow.project import Manager

    project = Manager().loadProject("demo")
    project.settings.setProtocolView("Flexibility Hub")
    project.settings.write()
    project.closeMapper()
    window = ProjectWindow(project.path)
    runs = {run.getClassName(): run for run in window.project.getRuns()}
    picture_project(window, runs["ProtHetAnalyze"])
    picture_explorer(window, runs["ProtHetAnalyze"])
    picture_form(window, runs["ProtHetSimulate"])
    os._exit(0)  # Tk, VTK and the host's threads would otherwise argue about who ends first.


def picture_project(window, run) -> None:
    """The project's tree with the analysis chosen, beside the plugin's protocols."""
    place(window, 1400, 800)
    window.viewWidget._selectItemProtocol(run)
    pump(window, 2.0)
    grab(window.root, "project")


def picture_explorer(window, run) -> None:
    """The explorer: classes, the curve, one particle with images, a selection, two pins, the resolution."""
    from cryodrgn_plugin.viewers import HetExplorerViewer

    explorer = HetExplorerViewer(project=window.project, protocol=run, parent=window).open_window(run)
    place(explorer, 1400, 820)
    pump(explorer, 120, until=lambda: explorer.is_filled and explorer.bench.columns is not None)
    bench, latents = explorer.bench, explorer.latents
    explorer.maps.show_in_series("k-means centres", 1)
    grab(explorer.root, "explorer", explorer)
    latents.select(projection="UMAP", colouring="position on the curve")
    explorer.maps.show_in_series("along the curve", 5)
    grab(explorer.root, "curve", explorer)
    first, second = (len(bench.columns.object_ids) * share // 6 for share in (2, 5))
    bench.tray.select(bench.images)
    show(explorer, first)
    pump(explorer, 90, until=lambda: bench.images.is_filled)
    grab(explorer.root, "particle", explorer)
    latents.select(projection="PC1 – PC2", colouring="class")
    bench.tray.select(bench.selection)
    bench.selection.follow("pc1 > 0 and rlnDefocusU > 12000")
    bench.selection.keep("right side")
    grab(explorer.root, "selection", explorer)
    bench.selection.clear()
    bench.tray.select(bench.pins)
    bench.pins.pin("A")
    show(explorer, second)
    bench.pins.pin("B")
    bench.pins.difference()
    pump(explorer, 90, until=lambda: explorer.maps._heading.get() == "map of B − A")
    grab(explorer.root, "pins", explorer)
    explorer.tabs.select(1)
    grab(explorer.root, "resolution", explorer)
    explorer.close()


def show(explorer, index: int) -> None:
    """Point at a particle and wait for its map."""
    explorer.bench.show_particle(index)
    pump(explorer, 90, until=lambda: explorer._status.get().endswith("its own map"))


def picture_form(window, simulated) -> None:
    """The form of a new training, and the wizard beside the box."""
    from pwem import Domain
    from pyworkflow.gui.dialog import RESULT_CANCEL
    from pyworkflow.gui.form import FormWindow

    protocol = window.project.newProtocol(Domain.getProtocols()["ProtHetTrain"])
    protocol.inputParticles.set(simulated)
    protocol.inputParticles.setExtended("outputParticles")
    view = window.viewWidget
    form = FormWindow("train heterogeneity", protocol, view._executeSaveProtocol, window,
                      updateProtocolCallback=view._updateProtocol, disableRunMode=True)  # fmt: skip
    form.adjustSize()
    place(form, 900, 620)
    grab(form.root, "form", form)

    def picture_wizard():
        dialog = next(item for item in form.root.winfo_children() if type(item).__name__ == "BoxDialog")
        dialog.select(48)
        dialog.update()
        time.sleep(0.5)
        grab(dialog, "wizard")
        dialog._handleResult(RESULT_CANCEL)

    form.root.after(1000, picture_wizard)
    form.widgetDict["box"]._showWizard()


def place(window, width: int, height: int) -> None:
    """Show a window at a size."""
    window.root.geometry(f"{width}x{height}+20+20")
    window.root.deiconify()
    window.root.lift()
    pump(window, 1.5)


def pump(window, seconds: float, until=lambda: False) -> None:
    """Let a window work for some seconds, or until something is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        window.root.update()
        time.sleep(0.02)


def grab(widget, name: str, window=None) -> None:
    """Save the part of the screen that a window covers."""
    from PIL import ImageGrab

    if window is not None:
        pump(window, 1.2)
    x, y = widget.winfo_rootx(), widget.winfo_rooty()
    picture = ImageGrab.grab((x, y, x + widget.winfo_width(), y + widget.winfo_height()))
    picture.convert("RGB").save(HERE / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "demo")
