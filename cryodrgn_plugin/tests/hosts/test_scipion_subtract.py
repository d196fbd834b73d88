"""Images without what lies outside of a mask, in a real project: pixels, places, and all that stays as it was."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pwem")

from pwem import Domain
from pwem.objects import SetOfParticles, SetOfParticlesFlex
from pyworkflow.object import Pointer

from cryodrgn_plugin.engine.io.mrc import read_map, write_map
from cryodrgn_plugin.engine.reconstruction.mask_file import region_mask

from .scipion_project import Workflow, logs, new_protocol, run

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

N, BOX = Workflow.N, Workflow.BOX
SPHERE = "-20,0,0,18"
"""Begins with a minus, as an option does."""


@pytest.fixture
def flow(workflow):
    """The project of the workflow, with the working folder in it."""
    with workflow.inside():
        yield workflow


def asked(workflow, source, **values):
    return new_protocol(workflow.project, "ProtHetSubtract", {"inputParticles": (source, "outputParticles")}, **values)


def finished(workflow, protocol):
    """The protocol, run to its end."""
    protocol = run(workflow.project, protocol)
    assert protocol.isFinished(), logs(protocol)
    return protocol


@pytest.fixture(scope="module")
def subtracted(workflow):
    """By a sphere, from the particles of the analysis, which have classes and latents."""
    with workflow.inside():
        return finished(workflow, asked(workflow, workflow.analyzed, sphere=SPHERE))


def images_by_id(particles) -> dict[int, np.ndarray]:
    """The image of each particle, read at the place that the set gives."""
    stacks: dict[str, np.ndarray] = {}
    images = {}
    for particle in particles.iterItems():
        index, name = particle.getLocation()
        if name not in stacks:
            stacks[name] = read_map(name)[0]
        images[particle.getObjId()] = stacks[name][index - 1]
    return images


def test_every_particle_has_a_new_image_and_is_else_as_it_was(flow, subtracted):
    before, after = flow.analyzed.outputParticles, subtracted.outputParticles
    assert isinstance(after, SetOfParticles) and not isinstance(after, SetOfParticlesFlex)
    assert (after.getSize(), after.getXDim()) == (N, BOX)
    assert after.getSamplingRate() == before.getSamplingRate()
    assert after.hasCTF() and after.hasAlignmentProj()
    kept = {particle.getObjId(): particle.clone() for particle in before.iterItems()}
    for particle in after.iterItems():
        old = kept.pop(particle.getObjId())
        np.testing.assert_array_equal(particle.getTransform().getMatrix(), old.getTransform().getMatrix())
        assert particle.getCTF().getDefocus() == old.getCTF().getDefocus()
        assert particle.getClassId() == old.getClassId()
        assert particle._cdrgCoordinate.get() == old._cdrgCoordinate.get()
        assert particle.getFileName().startswith(subtracted._getExtraPath())
        assert not hasattr(particle, "_zFlex")
    assert not kept


def test_each_image_is_its_own_less_what_the_maps_show_outside(flow, subtracted):
    """Images of other particles would differ by their noise, of which none is in what was taken off."""
    before, after = images_by_id(flow.analyzed.outputParticles), images_by_id(subtracted.outputParticles)
    taken = {number: before[number] - after[number] for number in before}
    share = np.mean([image.var() for image in taken.values()]) / np.mean([image.var() for image in before.values()])
    assert 0.02 < share < 0.6
    assert np.mean([np.corrcoef(before[k].ravel(), after[k].ravel())[0, 1] for k in before]) > 0.7
    assert np.mean([np.corrcoef(taken[k].ravel(), before[k].ravel())[0, 1] for k in before]) > 0.2
    told = float(subtracted.summary()[1].split("%")[0])
    assert told == pytest.approx(100 * share, abs=0.1)


def test_a_mask_does_as_its_sphere_does_and_of_a_subset_only_that_comes_out(flow, subtracted, tmp_path):
    pixel_size_ang = flow.simulated.outputParticles.getSamplingRate()
    write_map(tmp_path / "mask.mrc", region_mask(SPHERE, BOX, pixel_size_ang), pixel_size_ang)
    values = {"maskPath": str(tmp_path / "mask.mrc"), "samplingRate": pixel_size_ang}
    mask = finished(flow, new_protocol(flow.project, "ProtImportMask", **values))
    trained = {"inputParticles": (flow.trained, "outputParticles")}
    some = finished(flow, new_protocol(flow.project, "ProtHetSelect", trained, random=30))
    inputs = {"inputParticles": (some, "outputParticles"), "inputMask": (mask, "outputMask")}
    ours = finished(flow, new_protocol(flow.project, "ProtHetSubtract", inputs, sphere="0,0,0,5")).outputParticles
    every = images_by_id(subtracted.outputParticles)
    images = images_by_id(ours)
    assert set(images) == {particle.getObjId() for particle in some.outputParticles.iterItems()} and len(images) == 30
    for number, image in images.items():
        np.testing.assert_allclose(image, every[number], atol=1e-4 * image.std())


def test_the_new_particles_come_from_the_trained_ones_and_can_be_trained_on(flow, subtracted):
    graph = flow.project.getSourceGraph(refresh=True)
    node = graph.getNode(Pointer(flow.analyzed, extended="outputParticles").getUniqueId())
    known = {child.pointer.get().getFileName() for child in node.getChildren()}
    assert subtracted.outputParticles.getFileName() in known
    again = new_protocol(flow.project, "ProtHetTrain", {"inputParticles": (subtracted, "outputParticles")})
    assert again._validate() == []


def test_its_viewer_shows_what_stays_and_what_is_taken_off(flow, subtracted):
    assert [viewer.__name__ for viewer in Domain.findViewers(subtracted, "tkinter")] == ["HetSubtractionViewer"]
    ((name, picture),) = subtracted.getPictures()
    assert name == "views" and Path(picture).is_file()


def test_without_mask_sphere_or_focus_the_form_is_refused_in_a_sentence(flow):
    errors = asked(flow, flow.trained).validate()
    assert len(errors) == 1 and errors[0].startswith("Choose a mask or give a sphere")
