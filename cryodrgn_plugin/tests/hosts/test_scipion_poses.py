"""Poses found and refined in a real project: particles with alignment, volumes in both hands, classes for species."""

import numpy as np
import pytest

pytest.importorskip("pwem")

from pyworkflow.object import Pointer  # noqa: E402

from cryodrgn_plugin.engine.geometry.rotations import angular_distance_deg, matrices_from_euler  # noqa: E402
from cryodrgn_plugin.engine.io.particles import read_particles  # noqa: E402

from .scipion_project import Workflow, logs, new_protocol, run  # noqa: E402

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
