"""An atomic model in the maps of a training, in a real project: models, their maps, and the map without motion."""

import pytest

pytest.importorskip("pwem")

from pwem.objects import SetOfAtomStructs, Volume
from pyworkflow.object import Pointer

from cryodrgn_plugin.engine.atoms.model_reading import read_model
from cryodrgn_plugin.engine.atoms.model_writing import write_models
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.simulate.embedded import embedded_model

from .scipion_project import Workflow, logs, new_protocol, run

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

QUICK = {"maps": 2, "mostParts": 1, "bias": False, "figures": False}
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
    assert models.getSize() == maps.getSize() == laid.outputVolumesFlex.getSize() == 2
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
    assert any("consensus map" in line for line in summary) and any("moves as one" in line for line in summary)
