"""A training in a real project as it goes on: how far it is, stopped, ended early with its outputs, and extended."""

import time

import numpy as np
import pytest

pytest.importorskip("pwem")

from .patience import Patience
from .scipion_project import forget_pictures, logs, new_protocol, project_named, run

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

TINY = "decoder.width=16 decoder.layers=1 encoder.width=16 encoder.layers=1 training.precision=float32"
MANY = 5000


@pytest.fixture(scope="module")
def project(scipion):
    with project_named("live") as made:
        yield made


@pytest.fixture(scope="module")
def training(project):
    """A training that would take minutes."""
    simulated = run(project, new_protocol(project, "ProtHetSimulate", nParticles=60, box=16, states=2, pixelSize=8.0))
    assert simulated.isFinished(), logs(simulated)
    inputs = {"inputParticles": (simulated, "outputParticles")}
    return new_protocol(project, "ProtHetTrain", inputs, recipe=2, zDim=2, epochs=MANY, otherSettings=TINY)


def begun(project, protocol, epochs_before=0):
    """The protocol in the background, some epochs on."""
    project.launchProtocol(protocol, wait=False)
    wait(lambda: protocol._openRun() and len(protocol._openRun().metrics()) > epochs_before + 2, protocol)
    project._updateProtocol(protocol)
    return protocol._openRun()


def wait(condition, protocol, tick=lambda: None):
    patience = Patience(60)
    while not condition():
        assert not patience.is_over(), logs(protocol)
        tick()
        time.sleep(0.05)


def test_a_training_is_stopped_taken_up_again_ended_early_and_extended(project, training, screen):
    going = begun(project, training)
    wait(lambda: going.how_far is not None, training)
    said = " ".join(training._summary())
    assert f"of {MANY}, loss" in said and "left." in said and "ended early" in said

    project.stopProtocol(training)
    wait(lambda: going.status == "stopped", training)
    (stopped,) = [line for line in training._summary() if "was stopped after epoch" in line]
    epochs = len(going.metrics())
    assert str(epochs) in stopped

    going = begun(project, training, epochs)
    window = live_window(project, training)
    wait(lambda: "particles after epoch" in title_of(window), training, window.root.update)
    window.keep()
    wait(lambda: not training.isActive(), training, window.root.update)
    window.root.master.destroy()  # the root that the host hides behind a window without a master
    forget_pictures()
    assert training.isFinished(), logs(training)
    early = going.latents()
    assert early.epochs[0] == len(going.metrics()) < early.epochs[1] == MANY
    assert f"after epoch {early.epochs[0]} of {MANY}" in training._summary()[0]
    np.testing.assert_allclose(latents_of(training), early.z, rtol=1e-5, atol=1e-6)
    assert training.outputVolume.getXDim() == 16

    before = going.metrics()
    training.epochs.set(early.epochs[0] + 2)
    extended = run(project, training)
    assert extended.isFinished(), logs(extended)
    assert going.metrics()[:-2] == before and not going.ended_early
    np.testing.assert_allclose(latents_of(extended), going.latents().z, rtol=1e-5, atol=1e-6)


def live_window(project, protocol):
    from cryodrgn_plugin.viewers import HetExplorerViewer

    forget_pictures()
    window = HetExplorerViewer(project=project, protocol=protocol).live_window(protocol)
    window.root.deiconify()
    return window


def title_of(window):
    axes = window._figure.axes
    return axes[1].get_title(loc="left") if len(axes) > 1 else ""


def latents_of(protocol):
    from pwem.objects import SetOfParticlesFlex

    stored = SetOfParticlesFlex(filename=protocol.outputParticles.getFileName())
    z = np.array([item.getZFlex() for item in stored.iterItems()])
    stored.close()
    return z
