"""An atomic model in the maps of a training, in a real project: models, their maps, the map without motion, and the
window that shows them."""

import os
import stat
import time

import pytest

pytest.importorskip("pwem")

from pwem import Domain
from pwem.objects import SetOfAtomStructs, Volume
from pyworkflow.object import Pointer

from cryodrgn_plugin.engine.atoms.model_reading import read_model
from cryodrgn_plugin.engine.atoms.model_writing import write_models
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate.embedded import embedded_model
from cryodrgn_plugin.protocols.form_settings import RECIPES
from cryodrgn_plugin.viewers import chimerax_program

from .patience import Patience, pump
from .scipion_project import Workflow, logs, new_protocol, run

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

QUICK = {"maps": 3, "mostParts": 2, "figures": False}
FROM_FILE = 1


@pytest.fixture(scope="module")
def laid(workflow, tmp_path_factory):
    """A model of the molecule that was simulated, in the particles of the training."""
    file, model = tmp_path_factory.mktemp("model") / "model.cif", embedded_model("adk_open")
    write_models(file, model, model.coords_ang[None])
    with workflow.inside():
        values = {"inputPdbData": FROM_FILE, "pdbFile": str(file)}
        imported = run(workflow.project, new_protocol(workflow.project, "ProtImportPdb", **values))
        inputs = {"inputParticles": (workflow.trained, "outputParticles"), "inputModel": (imported, "outputPdb")}
        protocol = run(workflow.project, new_protocol(workflow.project, "ProtHetAtoms", inputs, **QUICK))
        assert protocol.isFinished(), logs(protocol)
        yield protocol


def test_there_is_a_model_for_each_map(laid):
    models, maps = laid.outputAtomStructs, laid.outputVolumes
    assert isinstance(models, SetOfAtomStructs)
    assert models.getSize() == maps.getSize() == laid.outputVolumesFlex.getSize() == 3
    for model in models.iterItems():
        assert len(read_model(model.getFileName())) == len(embedded_model("adk_open"))


def test_the_map_without_motion_has_half_maps(laid):
    corrected = laid.outputCorrected
    assert isinstance(corrected, Volume)
    for half in corrected.getHalfMaps().split(","):
        assert read_map(half)[0].shape == (Workflow.BOX,) * 3


def test_outputs_come_from_particles_and_model(laid, workflow):
    graph = workflow.project.getSourceGraph(refresh=True)
    for source in (laid.inputParticles, laid.inputModel):
        pointer = Pointer(source.getObjValue(), extended=source.getExtended())
        children = graph.getNode(pointer.getUniqueId()).getChildren()
        assert any(child.pointer.get() is not None for child in children)


def test_the_summary_says_what_was_found(laid):
    summary = laid.summary()
    assert any("consensus map" in line for line in summary)
    assert any("maps that know nothing of it" in line or "prior-free" in line for line in summary)


def test_a_validation_of_its_particles_tells_of_the_model_in_its_summary(laid, workflow):
    assert laid.outputParticles.getSize() == Workflow.N
    values = {"halves": False, "permutations": 99, "tested": 200}
    inputs = {"inputParticles": (laid, "outputParticles")}
    validated = run(workflow.project, new_protocol(workflow.project, "ProtHetValidate", inputs, **values))
    assert validated.isFinished(), logs(validated)
    bias = laid._ownRun().results("atoms").index["bias"]
    told = [line for line in validated.summary() if line.startswith("Atomic model ")]
    assert len(told) == 1 and f": {bias['outcome']}. {bias['verdict']}" in told[0]


def test_a_training_starts_from_the_motion_that_was_found(laid, workflow):
    values = {"recipe": RECIPES.index("refined_atoms"), "zDim": 3}
    inputs = {"inputParticles": (workflow.simulated, "outputParticles")}
    bare = new_protocol(workflow.project, "ProtHetTrain", inputs, **values)
    assert [error for error in bare._validate() if "choose particles of atomic heterogeneity" in error]
    inputs["foundMotion"] = (laid, "outputParticles")
    training = new_protocol(workflow.project, "ProtHetTrain", inputs, **values)
    assert training._validate() == []
    config = training._config()
    assert config.atoms.start_from == laid.getRunFolder()
    assert config.z_dim == Run.open(laid.getRunFolder()).latents().z.shape[1]
    assert (config.encoder.kind, config.atoms.model) == ("table", "")


@pytest.fixture(scope="module")
def window(laid, workflow, screen):
    """The window that the viewer of the protocol opens."""
    from pyworkflow.gui.project import ProjectWindow

    project_window = ProjectWindow(workflow.project.path)
    viewer = Domain.findViewers(laid, "tkinter")[0](project=workflow.project, protocol=laid, parent=project_window)
    made = viewer.open_window(laid)
    made.root.deiconify()
    pump(made, 60, until=lambda: made.is_filled)
    made.atoms = made.bench.panel("Atomic model")
    yield made
    made.root.destroy()
    project_window.root.destroy()


def test_the_window_opens_on_the_model_and_draws_every_plot(window):
    assert window.tabs.tab(window.tabs.select(), "text") == "Atomic model"
    for name in ("mobility", "parts", "motion", "occupancy", "check of the model", "motion undone"):
        window.atoms.show(name)
        window.root.update()
        assert window.atoms._figure.axes and (window.atoms._words.get() or name == "motion")
    shown = {entry.series for entry in window._content.maps}
    assert {"at the models", "motion undone"} <= shown


def test_chimerax_is_started_on_the_script_where_there_is_one(window, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("pwem.viewers.viewer_chimera.Chimera.getProgram", classmethod(lambda _class: None))
    window.atoms.open_chimerax()
    assert window._status.get().startswith("There is no ChimeraX here; where there is one, open ")
    assert window._status.get().endswith("atoms.cxc in it.")
    program, told = tmp_path / "ChimeraX", tmp_path / "told"
    program.write_text(f'#!/bin/sh\necho "$PWD $1" > "{told}.part"\n/bin/mv "{told}.part" "{told}"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    assert chimerax_program.program() == str(program)
    window.atoms.open_chimerax()
    patience = Patience(5)
    while not told.exists() and not patience.is_over():
        time.sleep(0.05)
    folder, script = told.read_text().split(" ")
    assert script.strip() == "atoms.cxc" and os.path.exists(os.path.join(folder, script.strip()))
