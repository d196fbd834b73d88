"""What other programs found comes into a real project by id, and a subset goes out to them with its latents."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pwem")

from pwem.objects import SetOfParticlesFlex

from cryodrgn_plugin.engine.io.cs import read_records
from cryodrgn_plugin.engine.io.star import read_star
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.tests.engine.cryodrgn_folder import Layout, write_training

from .scipion_project import Workflow, logs, new_protocol, run

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

N, BOX = Workflow.N, Workflow.BOX


@pytest.fixture
def flow(workflow):
    """The project of the workflow, with the working folder in it."""
    with workflow.inside():
        yield workflow


def finished(flow, name, source=None, **values):
    inputs = {"inputParticles": source} if source else None
    protocol = run(flow.project, new_protocol(flow.project, name, inputs, **values))
    assert protocol.isFinished(), logs(protocol)
    return protocol


def latents_by_id(particles):
    return {particle.getObjId(): particle.getZFlex() for particle in particles.iterItems()}


def test_a_table_of_latents_is_taken_up_and_a_subset_goes_to_relion_and_cryosparc(flow, tmp_path):
    z = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
    np.savetxt(tmp_path / "table.txt", z)
    of_all = (flow.simulated, "outputParticles")
    imported = finished(flow, "ProtHetImport", of_all, origin=1, latents=str(tmp_path / "table.txt"), bases=2)
    taken = latents_by_id(imported.outputParticles)
    for place, particle in enumerate(flow.simulated.outputParticles.iterItems()):
        np.testing.assert_allclose(taken[particle.getObjId()], z[place], rtol=1e-5)
    assert f"{N} particles have 3 latent coordinates" in imported.summary()[0]

    chosen = finished(flow, "ProtHetSelect", (imported, "outputParticles"), random=50)
    ids = np.array([particle.getObjId() for particle in chosen.outputParticles.iterItems()])
    for_cryosparc = finished(flow, "ProtHetExport", (chosen, "outputParticles"), program=1)
    folder = Run.open(for_cryosparc.getRunFolder()).results("export", "cryosparc").folder
    records = read_records(Path(folder) / "particles.cs")
    components = np.stack([records[f"components_mode_{k}/value"] for k in range(3)], axis=1)
    np.testing.assert_allclose(components, [taken[i] for i in sorted(ids)], rtol=1e-5)
    assert "particles.csg" in for_cryosparc.summary()[1]
    for_relion = finished(flow, "ProtHetExport", (chosen, "outputParticles"), program=0)
    table = read_star(for_relion._getExtraPath("particles.star"))["particles"]
    assert table["cdrgObjId"].tolist() == ids.tolist()
    columns = [f"cryodrgnLatent{k}" for k in (1, 2, 3)]
    np.testing.assert_allclose(table[columns], [taken[i] for i in ids], rtol=1e-5)


def test_a_training_of_cryodrgn_is_taken_up_with_the_projects_particles_or_with_its_own(flow, tmp_path):
    exported = finished(flow, "ProtHetExport", (flow.trained, "outputParticles"), program=2)
    files = Path(Run.open(exported.getRunFolder()).results("export", "cryodrgn").folder).absolute()
    stack = Path(flow.simulated._getExtraPath("particles.mrcs")).absolute()
    z = np.random.default_rng(1).normal(size=(N, 2)).astype(np.float32)
    layout = Layout(box=BOX, paths={"particles": stack, "poses": files / "poses.pkl", "ctf": files / "ctf.pkl"})
    folder = write_training(tmp_path / "training", layout, z, np.zeros_like(z))
    by_itself = finished(flow, "ProtHetImport", folder=str(folder))
    with_ours = finished(flow, "ProtHetImport", (flow.simulated, "outputParticles"), folder=str(folder))
    # cryoDRGN was given the poses that the training had corrected; particles of the project keep theirs.
    for protocol, before in ((by_itself, flow.trained), (with_ours, flow.simulated)):
        first = before.outputParticles.getFirstItem()
        particles = protocol.outputParticles
        assert isinstance(particles, SetOfParticlesFlex) and particles.hasCTF() and particles.hasAlignmentProj()
        np.testing.assert_allclose(list(latents_by_id(particles).values()), z, rtol=1e-5)
        item = particles.getFirstItem()
        np.testing.assert_allclose(item.getTransform().getMatrix(), first.getTransform().getMatrix(), atol=1e-3)
        assert item.getCTF().getDefocusU() == pytest.approx(first.getCTF().getDefocusU(), rel=1e-5)
    assert "from cryoDRGN" in by_itself.summary()[0]


def test_what_is_missing_is_said_before_anything_runs(flow):
    protocol = new_protocol(flow.project, "ProtHetImport")
    assert protocol._validate() == ["Choose the folder of the training."]
    protocol = new_protocol(flow.project, "ProtHetImport", origin=1, latents="nowhere.npy")
    assert protocol._validate() == ["Choose the table of latents; there is nothing at 'nowhere.npy'."]
