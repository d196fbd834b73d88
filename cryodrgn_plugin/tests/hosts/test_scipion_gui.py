"""The plugin in Scipion's own windows on a virtual screen: forms with their wizards, and a launch."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pwem")

from pyworkflow.gui.dialog import RESULT_YES

from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.wizards.centres import class_centres
from cryodrgn_plugin.wizards.lasso_dialog import pictures_of

from .patience import pump
from .scipion_project import logs, new_protocol

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def form_of(window, protocol):
    from pyworkflow.gui.form import FormWindow

    view = window.viewWidget
    form = FormWindow(
        "form", protocol, view._executeSaveProtocol, window, updateProtocolCallback=view._updateProtocol,
        disableRunMode=True,
    )  # fmt: skip
    form.adjustSize()
    form.root.deiconify()
    pump(form, 0.5)
    return form


def test_a_filled_form_with_the_wizards_box_runs_to_the_end(window, workflow):
    project = window.project
    protocol = new_protocol(project, "ProtHetTrain", {"inputParticles": (workflow.simulated, "outputParticles")})
    form = form_of(window, protocol)
    for name, value in (("zDim", 3), ("iterations", 2), ("nComponents", 4)):
        form.setVar(name, value)
    form.root.after(500, _choose_box, form, workflow.BOX)
    form.widgetDict["box"]._showWizard()
    assert int(form.widgetDict["box"].get()) == workflow.BOX
    form.root.after(500, _press_yes, form)  # to the warning that these particles are few
    form.execute()
    pump(window, 120, until=lambda: project.getProtocol(protocol.getObjId()).isActive() is False)
    ended = project.getProtocol(protocol.getObjId())
    assert ended.isFinished(), logs(ended)
    assert len(ended.outputParticles.getFirstItem().getZFlex()) == 3


def _choose_box(form, box):
    """Choose a row in the wizard's dialog and press Select, as a person would."""
    dialog = _open_dialog(form, "BoxDialog")
    assert [int(row) for row in dialog.tree.get_children()] == [32]
    dialog.select(box)
    dialog._handleResult(RESULT_YES)


def _press_yes(form):
    _open_dialog(form, "YesNoDialog")._handleResult(RESULT_YES)


def test_the_centres_of_classes_can_be_taken_for_a_path(window, workflow):
    inputs = {"inputParticles": (workflow.analyzed, "outputParticles")}
    form = form_of(window, new_protocol(window.project, "ProtHetTrajectory", inputs))
    centres = class_centres(Run.open(workflow.analyzed.getRunFolder()))
    assert len(centres) == workflow.CLASSES

    def choose_the_ends():
        dialog = _open_dialog(form, "ListDialog")
        rows = dialog.tree.get_children()
        dialog.tree.selection_set((rows[0], rows[-1]))
        dialog._handleResult(RESULT_YES)

    form.setVar("kind", 1)
    form.root.after(500, choose_the_ends)
    form.widgetDict["anchors"]._showWizard()
    assert form.widgetDict["anchors"].get() == f"{centres[0].object_id}, {centres[-1].object_id}"
    form.close()


def test_a_line_drawn_around_particles_selects_those_inside(window, workflow):
    inputs = {"inputParticles": (workflow.analyzed, "outputParticles")}
    protocol = new_protocol(window.project, "ProtHetSelect", inputs)
    form = form_of(window, protocol)
    points = pictures_of(Run.open(workflow.analyzed.getRunFolder()))["pca"]
    middle = float(np.median(points[:, 0]))
    corners = [(middle, -1e3), (1e3, -1e3), (1e3, 1e3), (middle, 1e3)]

    def draw():
        dialog = _open_dialog(form, "LassoDialog")
        dialog.drawn(corners)
        assert f"{(points[:, 0] > middle).sum()} of {len(points)} particles" in dialog._told.get()
        dialog._handleResult(RESULT_YES)

    form.root.after(800, draw)
    form.widgetDict["lasso"]._showWizard()
    written = json.loads(Path(form.widgetDict["lasso"].get()).read_text())
    assert written == {"space": "pca", "polygon": [list(corner) for corner in corners]}
    form.close()


def _open_dialog(form, name):
    return next(item for item in form.root.winfo_children() if type(item).__name__ == name)
