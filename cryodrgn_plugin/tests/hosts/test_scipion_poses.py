"""Poses found and refined in a real project: particles with alignment, volumes in both hands, classes for species."""

import numpy as np
import pytest

pytest.importorskip("pwem")

from pwem.objects import SetOfParticlesFlex
from pyworkflow.object import Pointer

from cryodrgn_plugin.engine.geometry.hand import mirrored_map
from cryodrgn_plugin.engine.geometry.rotations import angular_distance_deg, matrices_from_euler
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.io.particles import read_particles
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate.presets import PRESETS
from cryodrgn_plugin.protocols.form_settings import POSE_RECIPES
from cryodrgn_plugin.protocols.protocol_ab_initio import MIXTURE, MOVING, RIGID
from cryodrgn_plugin.viewers.load import content_of, entries_of

from .scipion_project import Workflow, logs, new_protocol, run

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

N, BOX = Workflow.N, Workflow.BOX


@pytest.fixture
def flow(workflow):
    """The project of the workflow, with the working folder in it."""
    with workflow.inside():
        yield workflow


@pytest.fixture(scope="module")
def refined(workflow):
    """The simulated particles, refined."""
    return finished(workflow, "ProtHetRefinePoses", workflow.simulated, rounds=1, maxAngle=4.0, maxShift=5.0)


def finished(workflow, name, source, **values):
    """A protocol over the particles of `source`, run to its end."""
    with workflow.inside():
        inputs = {"inputParticles": (source, "outputParticles")}
        protocol = run(workflow.project, new_protocol(workflow.project, name, inputs, **values))
        assert protocol.isFinished(), logs(protocol)
        return protocol


def rotations_of(particles) -> dict[int, np.ndarray]:
    """Volume-to-view rotation of each particle by its object id."""
    return {p.getObjId(): np.linalg.inv(p.getTransform().getMatrix())[:3, :3] for p in particles.iterItems()}


def test_refined_particles_carry_the_engines_poses_within_the_bounds(flow, refined):
    before, after = (rotations_of(protocol.outputParticles) for protocol in (flow.simulated, refined))
    assert after.keys() == before.keys() and len(after) == N
    turned = angular_distance_deg(np.stack(list(before.values())), np.stack([after[key] for key in before]))
    assert 0 < turned.max() < 4.01
    table = read_particles(refined._consensusPath("poses.star"))
    written = dict(zip(table.frame["cdrgObjId"], matrices_from_euler(table.euler_deg), strict=True))
    np.testing.assert_allclose(after[17], written[17], atol=1e-5)
    first = refined.outputParticles.getFirstItem()
    origin_px = table.origins_ang[0] / first.getSamplingRate()
    shift = np.linalg.inv(first.getTransform().getMatrix())[:2, 3]
    np.testing.assert_allclose(shift, -origin_px, atol=1e-4)
    assert first._rlnLogLikeliContribution.get() == pytest.approx(table.frame["rlnLogLikeliContribution"][0], rel=1e-5)


def test_refinement_gives_a_map_with_half_maps_and_says_what_it_did(flow, refined):
    assert refined.outputVolume.getDim() == (BOX,) * 3 and len(refined.outputVolume.getHalfMaps().split(",")) == 2
    assert refined.outputParticles.hasAlignmentProj() and refined.outputParticles.hasCTF()
    assert f"{N:,} particles, 1 rounds" in refined.summary()[0] and "FSC 0.143" in refined.summary()[1]
    source = Pointer(flow.simulated, extended="outputParticles")
    graph = flow.project.getSourceGraph(refresh=True)
    known = {node.pointer.get().getFileName() for node in graph.getNode(source.getUniqueId()).getChildren()}
    assert {refined.outputParticles.getFileName(), refined.outputVolume.getFileName()} <= known


def test_trained_particles_are_refined_along_their_latent_coordinates(flow):
    protocol = finished(flow, "ProtHetRefinePoses", flow.trained, rounds=1)
    assert f"refine-poses {flow.trained.getRunFolder()}" in logs(protocol).replace('"', "")
    assert protocol.outputParticles.getSize() == N


# --- ab initio ------------------------------------------------------------------------------------------------------

FEW = "ab_initio.more_starts=1 ab_initio.most_climbs=0 ab_initio.images_per_round=40 ab_initio.refinements=1"
QUICK = {"rounds": 3, "starts": 1, "shiftExtent": 0.07, "otherSettings": f"{FEW} poses.levels=1"}


@pytest.fixture(scope="module")
def rigid(workflow):
    """Poses and one map, found from the simulated particles' images alone."""
    return finished(workflow, "ProtHetAbInitio", workflow.simulated, target=RIGID, **QUICK)


@pytest.fixture(scope="module")
def mixture(workflow):
    """Ribosomal particles sorted into two species."""
    with workflow.inside():
        values = {"preset": list(PRESETS).index("compositional"), "nParticles": N, "box": BOX, "snr": 1.0}
        source = run(workflow.project, new_protocol(workflow.project, "ProtHetSimulate", {}, **values))
        assert source.isFinished(), logs(source)
    return finished(workflow, "ProtHetAbInitio", source, target=MIXTURE, species=2, **QUICK)


@pytest.fixture(scope="module")
def agreed(workflow, mixture):
    """What the species of that search and of another one from the same particles have in common."""
    source = mixture.inputParticles.getObjValue()
    other = finished(workflow, "ProtHetAbInitio", source, target=MIXTURE, species=2, seed=1, **QUICK)
    with workflow.inside():
        protocol = new_protocol(workflow.project, "ProtHetAgreement")
        for search in (mixture, other):
            protocol.inputClasses.append(Pointer(search, extended="outputClasses"))
        assert protocol._validate() == []
        protocol = run(workflow.project, protocol)
        assert protocol.isFinished(), logs(protocol)
        return protocol


@pytest.fixture(scope="module")
def moving(workflow):
    closed = "closed_form.iterations=3 closed_form.n_components=3"
    values = {**QUICK, "zDim": 2, "otherSettings": f"{FEW} {closed}"}
    return finished(workflow, "ProtHetAbInitio", workflow.simulated, target=MOVING, **values)


def found_rotations(protocol) -> dict[int, np.ndarray]:
    """Rotations in the run's poses.star by object id."""
    table = read_particles(protocol._posesFile())
    return dict(zip(table.frame["cdrgObjId"], matrices_from_euler(table.euler_deg), strict=True))


def test_particles_carry_the_poses_that_were_found_and_not_those_they_had(flow, rigid):
    particles = rigid.outputParticles
    assert (particles.getSize(), particles.getXDim()) == (N, BOX)
    assert particles.hasAlignmentProj() and particles.hasCTF()
    after, written, before = (
        rotations_of(particles),
        found_rotations(rigid),
        rotations_of(flow.simulated.outputParticles),
    )
    for object_id in (1, 17, N):
        np.testing.assert_allclose(after[object_id], written[object_id], atol=1e-5)
    moved = [angular_distance_deg(after[key], before[key]) for key in before]
    assert np.median(moved) > 5  # its frame is its own


def test_the_initial_volume_has_the_datas_sampling_and_its_half_maps(flow, rigid):
    volume = rigid.outputVolume
    assert volume.getDim() == (BOX,) * 3 and len(volume.getHalfMaps().split(",")) == 2
    assert volume.getSamplingRate() == pytest.approx(flow.simulated.outputParticles.getSamplingRate(), rel=1e-4)
    assert any("Half-maps agree up to" in line for line in rigid.summary())


def test_every_map_comes_in_both_hands(flow, rigid):
    map_itself, other = (read_map(volume.getFileName())[0] for volume in rigid.outputVolumes.iterItems())
    np.testing.assert_array_equal(other, mirrored_map(map_itself))


def test_found_poses_can_be_trained_with_and_refined(flow, rigid):
    refined = finished(flow, "ProtHetRefinePoses", rigid, rounds=1)
    assert refined.outputParticles.getSize() == N
    trained = new_protocol(flow.project, "ProtHetTrain", {"inputParticles": (rigid, "outputParticles")})
    assert trained._validate() == []


def test_species_are_classes_with_a_map_each(flow, mixture):
    classes = mixture.outputClasses
    labels = read_particles(mixture._posesFile()).frame["rlnClassNumber"]
    assert {item.getObjId(): item.getSize() for item in classes.iterItems()} == labels.value_counts().to_dict()
    assert labels.nunique() == 2
    assert mixture.outputVolumes.getSize() == 2 * 2
    for item in classes.iterItems():
        assert item.getRepresentative().getFileName().endswith(f"map_{item.getObjId():03d}.mrc")
    assert mixture.outputVolume.getFileName().endswith(f"map_{labels.mode()[0]:03d}.mrc")


def test_particles_of_species_carry_how_probable_theirs_is(flow, mixture):
    written = read_particles(mixture._posesFile())
    told = [particle._cdrgClassProbability.get() for particle in mixture.outputParticles.iterItems()]
    np.testing.assert_allclose(told, written.numbers("cryodrgnClassProbability"), rtol=1e-5)
    assert any("with a probability of 0.9 or more" in line for line in mixture.summary())
    content = content_of(Run.open(mixture.getRunFolder()), "mixture", entries_of(mixture.getMaps()))
    assert "species" in dict(content.pictures)
    assert [colouring.name for colouring in content.colourings][:2] == ["species", "probability of its species"]


def test_species_that_searches_agree_on_are_classes_with_the_poses_of_one_of_them(flow, mixture, agreed):
    results = Run.open(agreed.getRunFolder()).results("agreement")
    told = {entry["species"]: entry for entry in results.index["species"] if entry["star"]}
    assert told and not Run.open(mixture.getRunFolder()).has_results("agreement")
    sizes = {item.getObjId(): item.getSize() for item in agreed.outputClasses.iterItems()}
    assert sizes == {number: entry["listed"] for number, entry in told.items()}
    assert agreed.outputParticles.getSize() == sum(sizes.values()) and agreed.outputParticles.hasAlignmentProj()
    after = rotations_of(agreed.outputParticles)
    for entry in told.values():
        written = read_particles(results.file(f"species_{entry['species']:03d}"))
        ids, expected = written.frame["cdrgObjId"], matrices_from_euler(written.euler_deg)
        assert max(angular_distance_deg(after[i], own) for i, own in zip(ids, expected, strict=True)) < 0.01
    assert all(particle._cdrgClassAgreement.get() == 1 for particle in agreed.outputParticles.iterItems())
    assert agreed.outputVolumes.getSize() == len(results.index["species"])
    assert any("Adjusted Rand index" in line for line in agreed.summary()) and agreed.getPictures()


def test_species_are_compared_of_two_searches_that_are_not_one(flow, mixture):
    protocol = new_protocol(flow.project, "ProtHetAgreement")
    protocol.inputClasses.append(Pointer(mixture, extended="outputClasses"))
    assert "two searches or more" in protocol._validate()[0]
    protocol.inputClasses.append(Pointer(mixture, extended="outputClasses"))
    assert "chosen twice" in protocol._validate()[0]
    protocol.inputClasses.append(Pointer(flow.analyzed, extended="outputClasses"))
    assert "no search of this plugin" in protocol._validate()[0]


def test_a_moving_molecule_gives_latents_with_the_poses_and_can_be_analyzed(flow, moving):
    particles = moving.outputParticles
    assert isinstance(particles, SetOfParticlesFlex) and particles.getSize() == N and particles.hasAlignmentProj()
    z = Run.open(moving.getRunFolder()).latents().z
    after, written = rotations_of(particles), found_rotations(moving)
    for particle in particles.iterItems(limit=5):
        np.testing.assert_allclose(particle.getZFlex(), z[particle.getObjId() - 1], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(after[particle.getObjId()], written[particle.getObjId()], atol=1e-5)
    analyzed = finished(flow, "ProtHetAnalyze", moving, clusters=2, components=0, umap=False, figures=False)
    assert analyzed.outputClasses.getSize() == 2


def test_the_explorer_is_given_the_maps_in_both_hands(flow, mixture):
    series = [entry[0] for entry in mixture.getMaps()]
    assert series == ["ab initio", "ab initio, other hand"] * 2
    content = content_of(Run.open(mixture.getRunFolder()), "mixture", entries_of(mixture.getMaps()))
    assert content.series() == ["ab initio", "ab initio, other hand"] and content.metrics


def test_a_mixture_needs_the_recipe_that_knows_species(flow):
    inputs = {"inputParticles": (flow.simulated, "outputParticles")}
    other = POSE_RECIPES.index("cryodrgn2")
    errors = new_protocol(flow.project, "ProtHetAbInitio", inputs, target=MIXTURE, recipe=other)._validate()
    assert len(errors) == 1 and "tells species apart" in errors[0]


def test_particles_of_a_training_that_finds_poses_carry_them_beside_their_latents(flow):
    protocol = finished(flow, "ProtHetTrain", flow.simulated, zDim=2, freePoses=True)
    before, after = (rotations_of(each.outputParticles) for each in (flow.simulated, protocol))
    run = Run.open(protocol.getRunFolder())
    table = read_particles(run.poses_file)
    written = dict(zip(table.frame["cdrgObjId"], matrices_from_euler(table.euler_deg), strict=True))
    assert after.keys() == before.keys() == written.keys()
    for key in list(after)[::10]:
        np.testing.assert_allclose(after[key], written[key], atol=1e-5)
    turned = angular_distance_deg(np.stack(list(before.values())), np.stack([after[key] for key in before]))
    assert 0.1 < np.median(turned) < 15
    z = np.stack([particle.getZFlex() for particle in protocol.outputParticles.iterItems()])
    np.testing.assert_allclose(z, run.latents().z, atol=1e-5)
