"""A run that fails says why in the host's window, a form that cannot work is refused, and resuming never goes stale."""

import os

import numpy as np
import pytest

pytest.importorskip("pwem")
mrcfile = pytest.importorskip("mrcfile")

from pwem.objects import Acquisition, Particle, SetOfParticles, SetOfParticlesFlex  # noqa: E402

from cryodrgn_plugin.engine import config  # noqa: E402
from cryodrgn_plugin.engine.run import Run  # noqa: E402

from .scipion_project import logs, new_protocol, project_named, run  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

TINY_NETWORK = "decoder.width=16 decoder.layers=1 encoder.width=16 encoder.layers=1 training.precision=float32"


@pytest.fixture(scope="module")
def project(scipion):
    with project_named("failures") as made:
        yield made


@pytest.fixture(scope="module")
def simulated(project):
    protocol = run(project, new_protocol(project, "ProtHetSimulate", nParticles=80, box=16, states=2, pixelSize=8.0))
    assert protocol.isFinished(), logs(protocol)
    return protocol


def train(project, simulated, **values):
    return new_protocol(project, "ProtHetTrain", {"inputParticles": (simulated, "outputParticles")}, **values)


def test_the_engines_sentence_becomes_the_runs_error(project, simulated, tmp_path):
    stack = os.path.join(project.path, simulated._getExtraPath("particles.mrcs"))
    aside = tmp_path / "particles.mrcs"
    os.rename(stack, aside)
    try:
        failed = run(project, train(project, simulated))
    finally:
        os.rename(aside, stack)
    assert failed.isFailed()
    message = failed.getErrorMessage()
    assert "particles.mrcs" in message and "returned non-zero" not in message and "Traceback" not in message
    assert any("particles.mrcs" in line for line in failed.summary())


def test_training_goes_by_blocks_and_resumes_with_a_changed_setting(project, simulated):
    protocol = run(project, train(project, simulated, recipe=2, zDim=1, epochs=2, otherSettings=TINY_NETWORK))
    assert protocol.isFinished(), logs(protocol)
    assert protocol.stepsDone == protocol.numberOfSteps == 5  # convert, two blocks, consensus, outputs
    assert [row["epoch"] for row in Run.open(protocol.getRunFolder()).metrics()] == [1, 2]
    before = _latents(protocol)
    began = Run.open(protocol.getRunFolder()).metrics()

    protocol.seed.set(7)
    protocol = run(project, protocol)
    assert protocol.isFinished(), logs(protocol)
    assert Run.open(protocol.getRunFolder()).config.seed == 7
    kept = Run.open(f"{protocol.getRunFolder()}_before_1")
    assert kept.metrics() == began and np.allclose(kept.latents().z, before, rtol=1e-5, atol=1e-6)
    after = _latents(protocol)
    assert after.shape == before.shape and not np.allclose(after, before)
    np.testing.assert_allclose(after, Run.open(protocol.getRunFolder()).latents().z, rtol=1e-5, atol=1e-6)


def test_more_epochs_extend_a_finished_training(project, simulated):
    protocol = run(project, train(project, simulated, recipe=2, zDim=1, epochs=1, otherSettings=TINY_NETWORK))
    assert protocol.isFinished(), logs(protocol)
    (first,) = Run.open(protocol.getRunFolder()).metrics()

    protocol.epochs.set(3)
    protocol = run(project, protocol)
    assert protocol.isFinished(), logs(protocol)
    extended = Run.open(protocol.getRunFolder())
    assert extended.metrics()[0] == first and [row["epoch"] for row in extended.metrics()] == [1, 2, 3]
    np.testing.assert_allclose(_latents(protocol), extended.latents().z, rtol=1e-5, atol=1e-6)
    assert not os.path.exists(f"{protocol.getRunFolder()}_before_1")


def _latents(protocol) -> np.ndarray:
    stored = SetOfParticlesFlex(filename=protocol.outputParticles.getFileName())
    z = np.array([item.getZFlex() for item in stored.iterItems()])
    stored.close()
    return z


def test_a_homogeneous_training_gives_one_map_and_no_latents(project, simulated):
    protocol = run(project, train(project, simulated, recipe=3, epochs=1))
    assert protocol.isFinished(), logs(protocol)
    assert protocol.outputVolume.getXDim() == 16
    assert not hasattr(protocol, "outputParticles")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"box": 15}, "must be even"),
        ({"box": 64}, "the particles have 16 px"),
        ({"recipe": 2, "learningRate": -1.0}, "learning_rate"),
        ({"otherSettings": "training.epoch=3"}, "training.epoch"),
        ({"otherSettings": "hello"}, "section.name=value"),
    ],
)
def test_a_wrong_setting_is_refused_before_the_run(project, simulated, values, sentence):
    errors = train(project, simulated, **values).validate()
    assert len(errors) == 1 and sentence in errors[0]


@pytest.fixture
def bare(project, tmp_path):
    """Particles without poses or CTF, as a picker gives them."""
    made = SetOfParticles(filename=str(tmp_path / "bare.sqlite"))
    stack = tmp_path / "bare.mrcs"
    with mrcfile.new(stack, np.zeros((2, 16, 16), np.float32)) as mrc:
        mrc.set_image_stack()
    made.setAcquisition(Acquisition(voltage=300, sphericalAberration=2.7, amplitudeContrast=0.1))
    made.setSamplingRate(2.0)
    for number in (1, 2):
        particle = Particle()
        particle.setLocation(number, str(stack))
        made.append(particle)
    yield made
    made.close()


def test_particles_without_poses_or_ctf_are_refused_in_a_sentence_each(project, bare):
    protocol = new_protocol(project, "ProtHetTrain")
    protocol.inputParticles.set(bare)
    errors = protocol._validate()
    assert [error for error in errors if "no orientations" in error]
    assert [error for error in errors if "no CTF" in error]
    assert len(errors) == 2


def test_amplitude_corrected_particles_are_refused_and_few_particles_are_warned_about(project, bare):
    bare.setAlignmentProj()
    bare.setHasCTF(True)
    bare.setIsAmplitudeCorrected(True)
    protocol = new_protocol(project, "ProtHetTrain")
    protocol.inputParticles.set(bare)
    assert len(protocol._validate()) == 1 and "amplitude" in protocol._validate()[0]
    assert "only 2 particles" in protocol._warnings()[0]


def test_a_training_that_exceeds_the_machines_memory_is_warned_of(project, simulated, monkeypatch):
    protocol = new_protocol(project, "ProtHetTrain")
    protocol.inputParticles.set(simulated.outputParticles)
    monkeypatch.setattr(config, "machine_memory_mb", lambda: 512.0)
    (warning,) = [sentence for sentence in protocol._warnings() if "memory" in sentence]
    assert "this machine has 0.5 GB; lower data.box or z_dim" in warning


def test_an_analysis_needs_particles_that_this_plugin_trained(project):
    protocol = new_protocol(project, "ProtHetAnalyze")
    foreign = SetOfParticlesFlex(filename=":memory:", progName="another")
    protocol.inputParticles.set(foreign)
    assert "carry no training" in protocol._validate()[0]
