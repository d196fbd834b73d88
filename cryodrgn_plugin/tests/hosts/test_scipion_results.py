"""Preflight, landscape, trajectory, states, selection and validation in a real project: what comes out, and chains."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pwem")

from pwem import Domain
from pwem.objects import SetOfClasses3D, SetOfParticlesFlex, SetOfVolumes
from pyworkflow.object import Pointer

from cryodrgn_plugin.convert import confidence_of, latents_by_id
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.landscape.landscape_options import KINDS
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.protocols.protocol_landscape import GIVEN
from cryodrgn_plugin.protocols.protocol_states import PARTICLES, POINTS

from .scipion_project import Workflow, logs, new_protocol, run

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

N, BOX = Workflow.N, Workflow.BOX


@pytest.fixture
def flow(workflow):
    """The project of the workflow, with the working folder in it."""
    with workflow.inside():
        yield workflow


def finished(workflow, name, source, **values):
    """A protocol over the particles of `source`, run to its end."""
    with workflow.inside():
        protocol = run(workflow.project, asked(workflow, name, source, **values))
        assert protocol.isFinished(), logs(protocol)
        return protocol


def asked(workflow, name, source, **values):
    """The same, not yet run."""
    return new_protocol(workflow.project, name, {"inputParticles": (source, "outputParticles")}, **values)


@pytest.fixture(scope="module")
def judged(workflow):
    return finished(workflow, "ProtHetPreflight", workflow.simulated, box=BOX, tested=200)


@pytest.fixture(scope="module")
def landscape(workflow):
    return finished(
        workflow, "ProtHetLandscape", workflow.analyzed, clusters=3, states="2", walks=1, steps=2, bootstrap=20
    )


@pytest.fixture(scope="module")
def trajectory(workflow, landscape):
    return finished(
        workflow, "ProtHetTrajectory", landscape, kind=KINDS.index("direct"), anchors="7, 101", steps=3,
        halfMaps=True, movie=False, figures=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def states(workflow):
    return finished(
        workflow, "ProtHetStates", workflow.trained, which=PARTICLES, particleIds="5 60", bias=False, figures=False
    )


@pytest.fixture(scope="module")
def selected(workflow):
    return finished(workflow, "ProtHetSelect", workflow.analyzed, clusters="1", rule="z1 > -100")


@pytest.fixture(scope="module")
def validated(workflow):
    return finished(
        workflow, "ProtHetValidate", workflow.analyzed, nodes=6, tested=100, permutations=99, states=2, bootstrap=50
    )


def ids_of(particles):
    return {particle.getObjId() for particle in particles.iterItems()}


def children_of(flow, protocol):
    """File names of what Scipion knows to come from a protocol's particles."""
    graph = flow.project.getSourceGraph(refresh=True)
    node = graph.getNode(Pointer(protocol, extended="outputParticles").getUniqueId())
    return {child.pointer.get().getFileName() for child in node.getChildren()}


def test_preflight_calls_simulated_particles_sound_and_shows_their_map(flow, judged):
    assert "poses belong to the images" in " ".join(judged.summary())
    assert not any(line.startswith("*Stop") for line in judged.summary())
    assert judged.outputVolume.getDim() == (BOX,) * 3 and len(judged.outputVolume.getHalfMaps().split(",")) == 2
    assert judged.outputVolume.getFileName() in children_of(flow, flow.simulated)


def test_the_clusters_of_a_landscape_are_classes_with_a_map_each(flow, landscape):
    found = Run.open(landscape.getRunFolder()).results("landscape")
    place = latents_by_id(Run.open(landscape.getRunFolder())).place
    assert isinstance(landscape.outputClasses, SetOfClasses3D) and landscape.outputClasses.getSize() == 3
    members = {p.getObjId(): item.getObjId() for item in landscape.outputClasses.iterItems() for p in item.iterItems()}
    assert members == {object_id: found.labels[k] for object_id, k in place.items()} and len(members) == N
    for item in landscape.outputClasses.iterItems():
        assert item.getRepresentative().getFileName().endswith(f"clusters/vol_{item.getObjId() - 1:03d}.mrc")
    assert landscape.outputVolumes.getSize() == landscape.outputVolumesFlex.getSize() == 3
    assert landscape.outputStates.getSize() == len(found.index["states"])


def test_the_particles_of_a_landscape_carry_its_components_and_what_was_found_before(flow, landscape):
    found = Run.open(landscape.getRunFolder()).results("landscape")
    place = latents_by_id(Run.open(landscape.getRunFolder())).place
    for particle in landscape.outputParticles.iterItems(limit=5):
        expected = found.arrays["pca"][place[particle.getObjId()], :2]
        np.testing.assert_allclose(particle.getZRed(), expected, rtol=1e-4, atol=1e-5)
    folder = landscape.outputParticles.getFlexInfo().getAttr("runFolder")
    assert folder == landscape.getRunFolder()
    assert Run.open(folder).has_results("analysis")
    assert any("mixture states hold" in line for line in landscape.summary())


def test_a_trajectory_begins_and_ends_at_the_particles_that_were_named(flow, trajectory):
    z = Run.open(trajectory.getRunFolder()).latents().z
    maps = [volume.clone() for volume in trajectory.outputVolumesFlex.iterItems()]
    assert len(maps) == trajectory.outputVolumes.getSize() == 3
    place = latents_by_id(Run.open(trajectory.getRunFolder())).place
    np.testing.assert_allclose(maps[0].getZFlex(), z[place[7]], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(maps[-1].getZFlex(), z[place[101]], rtol=1e-4, atol=1e-5)
    assert Run.open(trajectory.getRunFolder()).results("trajectory", "path").index["kind"] == "direct"
    for volume in trajectory.outputVolumes.iterItems():
        assert all(read_map(half)[0].shape == (BOX,) * 3 for half in volume.getHalfMaps().split(","))


def test_states_come_with_half_maps_and_sharpened_at_the_particles_that_were_named(flow, states):
    entries = Run.open(states.getRunFolder()).results("states").series("states")
    place = latents_by_id(Run.open(states.getRunFolder())).place
    z = Run.open(states.getRunFolder()).latents().z
    assert isinstance(states.outputVolumes, SetOfVolumes) and states.outputVolumes.getSize() == 2
    for volume, entry in zip(states.outputVolumes.iterItems(), entries, strict=True):
        first, second = (read_map(half)[0] for half in volume.getHalfMaps().split(","))
        assert first.shape == (BOX,) * 3 and not np.array_equal(first, second)
        assert volume._cdrgResolution.get() == pytest.approx(entry["resolution_ang"]["0.143"])
    for volume, object_id in zip(states.outputVolumesFlex.iterItems(), (5, 60), strict=True):
        np.testing.assert_allclose(volume.getZFlex(), z[place[object_id]], rtol=1e-4, atol=1e-5)
    assert states.outputSharpened.getSize() == 2
    assert all("sharpened" in volume.getFileName() for volume in states.outputSharpened.iterItems())


def test_a_selection_is_the_classes_members_by_id_and_the_rest_is_rejected(flow, selected):
    expected = {p.getObjId() for p in flow.analyzed.outputParticles.iterItems() if p.getClassId() == 1}
    assert ids_of(selected.outputParticles) == expected and 0 < len(expected) < N
    assert ids_of(selected.outputRejected) == set(range(1, N + 1)) - expected
    assert isinstance(selected.outputParticles, SetOfParticlesFlex) and selected.outputParticles.hasCTF()
    assert f"{len(expected):,} of {N:,} particles" in selected.summary()[0]


def test_a_selection_finds_its_particles_in_the_full_size_set(flow):
    asked_for = asked(flow, "ProtHetSelect", flow.trained, random=30)
    asked_for.originalParticles.set(flow.simulated)
    asked_for.originalParticles.setExtended("outputParticles")
    chosen = run(flow.project, asked_for)
    assert chosen.isFinished(), logs(chosen)
    assert ids_of(chosen.outputOriginal) == ids_of(chosen.outputParticles) and chosen.outputOriginal.getSize() == 30
    stacks = {p.getObjId(): p.getLocation() for p in flow.simulated.outputParticles.iterItems()}
    assert all(p.getLocation() == stacks[p.getObjId()] for p in chosen.outputOriginal.iterItems())


def test_a_validated_particle_carries_its_confidence(flow, validated):
    confidence = confidence_of(Run.open(validated.getRunFolder()))
    place = latents_by_id(Run.open(validated.getRunFolder())).place
    assert validated.outputParticles.getSize() == N
    for particle in validated.outputParticles.iterItems():
        assert particle._cdrgConfidence.get() == pytest.approx(confidence[place[particle.getObjId()]], abs=1e-6)
    assert Path(validated.getPage()).is_file()
    assert (
        Run.open(validated.getRunFolder()).results("validation").index["verdict"]["headline"] in validated.summary()[0]
    )


def test_a_rule_can_ask_for_the_confidence_of_a_validation(flow, validated):
    median = float(np.median(confidence_of(Run.open(validated.getRunFolder()))))
    sure = finished(flow, "ProtHetSelect", validated, rule=f"confidence > {median:.6f} and cluster > 0")
    assert all(particle._cdrgConfidence.get() > median - 1e-5 for particle in sure.outputParticles.iterItems())
    assert 0 < sure.outputParticles.getSize() <= N // 2


def test_the_page_of_a_validation_opens_in_the_browser(flow, validated, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    (viewer,) = Domain.findViewers(validated, "tkinter")
    viewer(project=flow.project, protocol=validated).visualize(validated)
    assert opened == [Path(validated.getPage()).absolute().as_uri()]


def test_a_selection_can_be_trained_with_again(flow, selected):
    assert asked(flow, "ProtHetTrain", selected)._validate() == []


@pytest.mark.parametrize("name", ["landscape", "trajectory", "states", "selected", "validated"])
def test_every_output_knows_the_particles_it_came_from(name, flow, request):
    protocol = request.getfixturevalue(name)
    source = protocol.inputParticles.getObjValue()
    made = {output.getFileName() for _, output in protocol.iterOutputAttributes()}
    assert made <= children_of(flow, source) and made


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        ("ProtHetPreflight", {"box": 33}, "must be even"),
        ("ProtHetLandscape", {"clusters": -1}, "clusters is -1"),
        ("ProtHetLandscape", {"states": "many"}, "give a number, or auto"),
        ("ProtHetLandscape", {"region": GIVEN}, "Choose a mask"),
        ("ProtHetTrajectory", {"steps": 1}, "steps is 1"),
        ("ProtHetTrajectory", {"kind": KINDS.index("direct"), "anchors": "7, 100000"}, "Particle 100000 is not in"),
        ("ProtHetTrajectory", {"kind": KINDS.index("points")}, "Choose a file"),
        ("ProtHetTrajectory", {"kind": KINDS.index("graph"), "space": 1}, "has no landscape"),
        ("ProtHetStates", {"which": PARTICLES}, "Name the particles"),
        ("ProtHetStates", {"which": POINTS}, "Choose a file"),
        ("ProtHetStates", {"neighbors": -1, "method": 1}, "neighbors is -1"),
        ("ProtHetValidate", {"permutations": 19}, "cannot show a significance"),
        ("ProtHetSelect", {}, "Say which particles to select"),
    ],
)
def test_a_wrong_form_is_refused_in_one_sentence(name, values, sentence, flow):
    source = flow.simulated if name == "ProtHetPreflight" else flow.analyzed
    errors = asked(flow, name, source, **values).validate()
    assert len(errors) == 1 and sentence in errors[0]
    assert errors[0].endswith(".")
