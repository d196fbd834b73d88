"""Pictures of the tutorial, in Scipion's own windows.

    python docs/tutorial/project.py FOLDER
    xvfb-run -s "-screen 0 1366x768x24" python docs/tutorial/make.py FOLDER

writes 01_project.png … beside this file.
"""

import os
import sys
import time
from pathlib import Path

import project as tutorial

from cryodrgn_plugin import scipion_home

HERE = Path(__file__).resolve().parent
MOST_COLOURS = 256
"""Of a picture that a palette holds, or has to."""
MOST_BYTES = 150_000


def main(folder: str) -> None:
    """Take every picture of the project in `folder`."""
    scipion_home.use(folder)
    os.environ.setdefault("SCIPION_PRIORITY_PACKAGE_LIST", "pwem")
    from pyworkflow.gui.project import ProjectWindow

    made = tutorial.open_project()
    made.settings.setProtocolView("Flexibility Hub")
    made.settings.write()
    window = ProjectWindow(made.path)
    runs = {label: tutorial.run_of(window.project, label) for label in tutorial.STEPS}
    picture_projects(window, runs)
    picture_forms(window, runs)
    picture_training(window)
    picture_explorer(window, runs)
    picture_figures(window, runs)
    os._exit(0)  # Tk, VTK and the host's threads would otherwise argue about who ends first.


def picture_projects(window, runs) -> None:
    """The project with all its runs, one chosen."""
    place(window, 1180, 700)
    view = window.viewWidget
    for label, name in ((tutorial.SIMULATED, "01_project"), (tutorial.REFINED, "15_end")):
        view._selectItemProtocol(runs[label])
        view.drawRunsGraph()
        pump(window, 2.0)
        grab(window.root, name)
    window.root.withdraw()


def picture_forms(window, runs) -> None:
    """Forms as they are filled in, and the wizards beside their fields."""
    picture_form(window, tutorial.SIMULATED, "02_simulate")
    picture_form(
        window, tutorial.TRAINED, "04_train", wizards=(("box", "05_box", None), ("zDim", "06_spectrum", spectrum))
    )
    picture_form(window, tutorial.ANALYZED, "08_analyze", wizards=(("clusters", "09_classes", None),))
    picture_form(window, tutorial.CHOSEN, "12_select", wizards=(("rule", "13_rule", None),))


def spectrum(dialog) -> bool:
    """Whether the wizard has its spectrum."""
    return dialog.spectrum is not None


def picture_form(window, label: str, name: str, wizards=()) -> None:
    """A form, and its wizards: field, name of the picture, and what must be true before it is taken."""
    from pyworkflow.gui.form import FormWindow

    protocol = tutorial.prepared(window.project, label)
    view = window.viewWidget
    form = FormWindow(label, protocol, view._executeSaveProtocol, window,
                      updateProtocolCallback=view._updateProtocol, disableRunMode=True)  # fmt: skip
    form.adjustSize()
    place(form, 900, 640)
    grab(form.root, name, form)
    for field, picture, ready in wizards:
        picture_wizard(form, field, picture, ready)
    form.close()


def picture_wizard(form, field: str, name: str, ready) -> None:
    """The dialog of a wizard, closed again without a choice."""
    from pyworkflow.gui.dialog import RESULT_CANCEL

    def look() -> None:
        there = form.root.winfo_children()
        dialogs = [each for each in there if hasattr(each, "_handleResult") and each.winfo_viewable()]
        if not dialogs or (ready is not None and not ready(dialogs[-1])):
            form.root.after(200, look)
            return
        dialogs[-1].update()
        time.sleep(0.5)
        dialogs[-1].update()
        grab(dialogs[-1], name)
        dialogs[-1]._handleResult(RESULT_CANCEL)

    form.root.after(500, look)
    form.widgetDict[field]._showWizard()


def picture_training(window) -> None:
    """A training as it goes on: the same once more, stopped when the picture is there."""
    from cryodrgn_plugin.viewers import HetExplorerViewer

    protocol = tutorial.prepared(window.project, tutorial.TRAINED)
    protocol.setObjLabel("how do they differ? (again)")
    window.project.launchProtocol(protocol, wait=False)
    wait(window, 600, lambda: protocol._openRun() is not None and len(protocol._openRun().metrics()) > 8)
    window.project._updateProtocol(protocol)
    live = HetExplorerViewer(project=window.project, protocol=protocol, parent=window).live_window(protocol)
    place(live, 900, 540)
    live._follows.set(True)
    wait(live, 600, lambda: len(live._figure.axes) > 1 and live._figure.axes[1].get_title(loc="left") != "")
    grab(live.root, "07_training", live)
    live.root.destroy()
    window.project.stopProtocol(protocol)
    window.project.deleteProtocol(protocol)


def picture_explorer(window, runs) -> None:
    """Classes, and particles that were selected, in the explorer."""
    explorer = explore(window, runs[tutorial.ANALYZED])
    series = explorer._content.series()
    explorer.maps.show_in_series(next(name for name in series if name != "consensus"), 1)
    grab(explorer.root, "10_explorer", explorer)
    wait(explorer, 60, lambda: explorer.bench.columns is not None)
    explorer.bench.selection.follow("cluster == 2")
    grab(explorer.root, "11_selected", explorer)
    explorer.close()


def explore(window, run):
    """The explorer of a run, with what it shows."""
    from cryodrgn_plugin.viewers import HetExplorerViewer

    explorer = HetExplorerViewer(project=window.project, protocol=run, parent=window).open_window(run)
    place(explorer, 1180, 680)
    wait(explorer, 60, lambda: explorer.is_filled)
    pump(explorer, 2.0)
    return explorer


def picture_figures(window, runs) -> None:
    """The verdicts of the preflight, and the resolution of the refined map."""
    from cryodrgn_plugin.viewers import HetPreflightViewer, HetRefinementViewer

    for viewer, label, name in (
        (HetPreflightViewer, tutorial.CHECKED, "03_preflight"),
        (HetRefinementViewer, tutorial.REFINED, "14_resolution"),
    ):
        shown = viewer(project=window.project, protocol=runs[label], parent=window).open_window(runs[label])
        place(shown, 980, 620)
        grab(shown.root, name, shown)
        shown.close()


def place(window, width: int, height: int) -> None:
    """Show a window at a size."""
    window.root.geometry(f"{width}x{height}+20+20")
    window.root.deiconify()
    window.root.lift()
    pump(window, 1.5)


def pump(window, seconds: float) -> None:
    """Let a window work for some seconds."""
    wait(window, seconds, lambda: False)


def wait(window, seconds: float, until) -> None:
    """Let a window work until something is true, for some seconds at most."""
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
    picture = ImageGrab.grab((x, y, x + widget.winfo_width(), y + widget.winfo_height())).convert("RGB")
    few = picture.getcolors(MOST_COLOURS)
    picture = picture if few is None else picture.quantize(max(len(few), 2))  # which loses nothing
    file = HERE / f"{name}.png"
    picture.save(file, optimize=True)
    if file.stat().st_size > MOST_BYTES:
        picture.quantize(MOST_COLOURS).save(file, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "tutorial")
