"""simulate → train → analyze in a real project: sizes, sampling, relations and every value that comes out."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pwem")

from pwem.objects import SetOfClasses3D, SetOfParticles, SetOfParticlesFlex, SetOfVolumes, SetOfVolumesFlex
from pyworkflow.object import Pointer

from cryodrgn_plugin.constants import PROGRAM_NAME
from cryodrgn_plugin.convert import latents_by_id
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.run import Run

from .scipion_project import Workflow, logs, run

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

N, BOX, STATES, CLASSES = Workflow.N, Workflow.BOX, Workflow.STATES, Workflow.CLASSES


@pytest.fixture
def flow(workflow):
    """The three runs, with the working folder in their project."""
    with workflow.inside():
        yield workflow


def test_the_simulation_gives_aligned_particles_and_the_true_maps(flow):
    particles, volumes = flow.simulated.outputParticles, flow.simulated.outputVolumes
    assert (particles.getSize(), particles.getXDim()) == (N, BOX)
    assert particles.hasAlignmentProj() and particles.hasCTF()
    assert (volumes.getSize(), volumes.getXDim()) == (STATES, BOX)
    assert volumes.getSamplingRate() == pytest.approx(particles.getSamplingRate())


def test_simulated_poses_are_the_planted_ones(flow):
    with np.load(flow.simulated._getExtraPath("truth.npz")) as truth:
        rotations = truth["rotations"]
    for particle in flow.simulated.outputParticles.iterItems(limit=20):
        found = np.linalg.inv(particle.getTransform().getMatrix())[:3, :3]
        np.testing.assert_allclose(found, rotations[particle.getObjId() - 1], atol=1e-5)


def test_every_particle_carries_its_own_latents(flow):
    particles = flow.trained.outputParticles
    assert isinstance(particles, SetOfParticlesFlex) and particles.getSize() == N and particles.hasCTF()
    assert particles.getSamplingRate() == flow.simulated.outputParticles.getSamplingRate()
    with np.load(Path(flow.trained.getRunFolder()) / "latents.npz") as stored:
        z, coordinate = stored["z"], stored["coordinate"]
    for particle in particles.iterItems():
        row = particle.getObjId() - 1
        np.testing.assert_allclose(particle.getZFlex(), z[row], rtol=1e-5, atol=1e-6)
        assert particle._cdrgCoordinate.get() == pytest.approx(coordinate[row], rel=1e-5, abs=1e-6)
        assert particle.hasCTF() and particle.hasTransform()


def test_the_latent_set_says_which_run_it_came_from(flow):
    info = flow.trained.outputParticles.getFlexInfo()
    assert info.getProgName() == PROGRAM_NAME
    assert info.getAttr("runFolder") == flow.trained.getRunFolder()


def test_the_consensus_map_has_the_datas_sampling_and_its_half_maps(flow):
    volume = flow.trained.outputVolume
    assert volume.getDim() == (BOX, BOX, BOX)
    assert volume.getSamplingRate() == pytest.approx(flow.simulated.outputParticles.getSamplingRate(), rel=1e-4)
    halves = volume.getHalfMaps().split(",")
    assert len(halves) == 2 and all(read_map(half)[0].shape == (BOX,) * 3 for half in halves)


def test_the_maps_of_the_classes_come_plain_and_with_latents(flow):
    plain, flexible = flow.analyzed.outputVolumes, flow.analyzed.outputVolumesFlex
    assert isinstance(plain, SetOfVolumes) and isinstance(flexible, SetOfVolumesFlex)
    assert plain.getSize() == flexible.getSize() == CLASSES
    entries = Run.open(flow.analyzed.getRunFolder()).results("analysis").series("kmeans")
    for volume, entry in zip(flexible.iterItems(), entries, strict=True):
        np.testing.assert_allclose(volume.getZFlex(), entry["z"], rtol=1e-5, atol=1e-6)
        assert volume.getSamplingRate() == pytest.approx(flow.simulated.outputParticles.getSamplingRate(), rel=1e-4)
    assert flow.analyzed.outputTrajectory.getSize() == 3


def test_the_classes_hold_every_particle_once_and_agree_with_the_particles(flow):
    classes = flow.analyzed.outputClasses
    assert isinstance(classes, SetOfClasses3D) and classes.getSize() == CLASSES
    labels = {particle.getObjId(): particle.getClassId() for particle in flow.analyzed.outputParticles.iterItems()}
    members = {}
    for item in classes.iterItems():
        assert item.getRepresentative().getFileName().endswith(f"vol_{item.getObjId() - 1:03d}.mrc")
        members |= {particle.getObjId(): item.getObjId() for particle in item.iterItems()}
    assert members == labels and len(members) == N


def test_the_labels_are_the_engines_by_id(flow):
    trained = Run.open(flow.analyzed.getRunFolder())
    labels, found = trained.results("analysis").labels, latents_by_id(trained)
    for particle in flow.analyzed.outputParticles.iterItems():
        assert particle.getClassId() == labels[found.place[particle.getObjId()]]


@pytest.mark.parametrize(
    ("child", "parent"), [("trained", "simulated"), ("analyzed", "trained")], ids=["training", "analysis"]
)
def test_every_output_knows_what_it_was_made_from(flow, child, parent):
    source = Pointer(getattr(flow, parent), extended="outputParticles")
    graph = flow.project.getSourceGraph(refresh=True)
    known = {node.pointer.get().getFileName() for node in graph.getNode(source.getUniqueId()).getChildren()}
    made = {output.getFileName() for _, output in getattr(flow, child).iterOutputAttributes()}
    assert made <= known and len(made) >= 2


def test_a_subset_keeps_its_latents_and_its_run(flow, tmp_path):
    chosen = [5, 17, 101]
    subset = SetOfParticlesFlex(filename=str(tmp_path / "subset.sqlite"))
    subset.copyInfo(flow.trained.outputParticles)
    for particle in flow.trained.outputParticles.iterItems():
        if particle.getObjId() in chosen:
            subset.append(particle)
    assert subset.getSize() == 3
    assert subset.getFlexInfo().getAttr("runFolder") == flow.trained.getRunFolder()
    subset.close()


def test_summaries_and_methods_say_what_was_done(flow):
    assert f"{N} images of {BOX} px" in flow.simulated.summary()[0]
    assert any("fast" in line for line in flow.trained.summary())
    assert any(f"{CLASSES} classes are" in line for line in flow.analyzed.summary())
    assert any("closed form" in line for line in flow.trained.methods())


def test_an_analysis_with_other_clusters_stands_beside_the_first(flow):
    """Running again with a changed number must renew every output, and must not touch another analysis."""
    again = flow.project.copyProtocol(flow.analyzed)
    again.clusters.set(2)
    again.figures.set(False)
    again = run(flow.project, again)
    assert again.isFinished(), logs(again)
    assert again.outputClasses.getSize() == 2
    assert Run.open(flow.analyzed.getRunFolder()).results("analysis").index["options"]["clusters"] == CLASSES
    again.clusters.set(4)
    again = run(flow.project, again)
    assert again.isFinished(), logs(again)
    assert again.outputClasses.getSize() == again.outputVolumes.getSize() == 4
    assert sum(1 for _ in SetOfParticles(filename=again.outputParticles.getFileName()).iterItems()) == N
