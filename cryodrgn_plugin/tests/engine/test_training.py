"""The neural recipes on small planted sets: states are found, killed runs resume bit for bit, mistakes get one
sentence.
"""

import dataclasses
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.config import RunConfig, recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.decoders.restore import load_decoder
from cryodrgn_plugin.engine.errors import ConfigError, DataError
from cryodrgn_plugin.engine.networks import vae_recipe
from cryodrgn_plugin.engine.networks.network_checkpoint import load_checkpoint
from cryodrgn_plugin.engine.networks.vae_recipe import fit_vae
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate.tiny import tiny_set

pytestmark = pytest.mark.slow

SMALL = {"decoder.width": 32, "decoder.layers": 2, "encoder.width": 32, "encoder.layers": 2, "decoder.n_bases": 2}

MLP = {"training.learning_rate": 2e-3, "decoder.width": 64, "encoder.width": 64}


@pytest.fixture(scope="module")
def two_states(tmp_path_factory):
    """Star file and coordinate (N,) of 400 images of two states."""
    folder = tmp_path_factory.mktemp("two_states")
    star = tiny_set(folder, n=400, box=24, states=2, seed=3)
    return star, np.load(star.parent / "truth.npz")["coordinate"]


def config_for(star, kind: str, **overrides) -> RunConfig:
    settings = {
        "particles": str(star),
        "z_dim": 1,
        "decoder.kind": kind,
        "decoder.output": "complex",
        "training.batch_size": 16,
        "training.epochs": 3,
        "training.precision": "float32",
    }
    return recipe_config("cryodrgn" if kind == "mlp" else "paper", {**settings, **SMALL, **overrides})


def train(path, config: RunConfig, resume: bool = False):
    run = Run.create(path, config, resume=resume)
    with run.working("train"):
        return run, fit_vae(run, config, ParticleDataset.open(config.particles, config.data), resume)


def explained(z: np.ndarray, coordinate: np.ndarray) -> float:
    """Correlation of the coordinate with its best linear prediction from z."""
    design = np.column_stack([z, np.ones(len(z))])
    return float(np.corrcoef(design @ np.linalg.lstsq(design, coordinate, rcond=None)[0], coordinate)[0, 1])


@pytest.mark.parametrize(
    ("kind", "overrides"),
    [
        ("basis", {"training.epochs": 16, "training.learning_rate": 3e-3}),
        ("mlp", {**MLP, "training.epochs": 12, "training.points": 1.0}),
        ("mlp", {**MLP, "training.epochs": 16, "training.points": 0.5}),
    ],
    ids=["basis", "mlp", "mlp on half of the points"],
)
def test_two_planted_states_are_told_apart(kind, overrides, two_states, tmp_path):
    star, coordinate = two_states
    run, fit = train(tmp_path / "run", config_for(star, kind, **overrides))
    assert explained(fit.z, coordinate) > 0.9
    np.testing.assert_array_equal(run.latents().z, fit.z)
    losses = [row["loss"] for row in run.metrics()]
    assert losses[-1] < losses[0]


def test_a_latent_table_tells_the_states_apart_without_an_encoder(two_states, tmp_path):
    star, coordinate = two_states
    settings = {"encoder.kind": "table", "training.epochs": 40, "training.learning_rate": 3e-3}
    _, fit = train(tmp_path / "run", config_for(star, "basis", **settings))
    assert explained(fit.z, coordinate) > 0.9


@pytest.mark.parametrize("kind", ["basis", "mlp"])
def test_one_map_is_found_without_a_latent(kind, two_states, tmp_path):
    star, _ = two_states
    config = config_for(
        star, kind, z_dim=0, **{"decoder.n_bases": 0, "training.epochs": 10, "training.learning_rate": 5e-3}
    )
    run, fit = train(tmp_path / "run", config)
    assert fit.z is None
    truth = np.mean([read_state(star, state) for state in (0, 1)], axis=0)
    assert np.corrcoef(fit.decoder.volume(None).ravel(), truth.ravel())[0, 1] > 0.85
    np.testing.assert_allclose(load_decoder(run).volume(None), fit.decoder.volume(None), atol=1e-6)


def read_state(star, state: int) -> np.ndarray:
    from cryodrgn_plugin.engine.io.mrc import read_map

    return read_map(star.parent / "maps" / f"state_{state:03d}.mrc")[0]


def test_the_stored_decoder_makes_the_volumes_of_the_trained_one(two_states, tmp_path):
    star, _ = two_states
    run, fit = train(tmp_path / "run", config_for(star, "basis"))
    z = fit.z[0]
    np.testing.assert_allclose(load_decoder(run).volume(z), fit.decoder.volume(z), atol=1e-6)


def train_in_subprocess(path, config: RunConfig) -> subprocess.Popen:
    code = (
        "import sys; sys.path[:0] = [sys.argv[3]]; from pathlib import Path; "
        "from cryodrgn_plugin.tests.engine.test_training import train, RunConfig; "
        "from cryodrgn_plugin.engine.stopping import Stopped, stop_on_signals\n"
        "try:\n"
        "    config = RunConfig.from_json(Path(sys.argv[2]).read_text())\n"
        "    with stop_on_signals(): train(sys.argv[1], config, resume=True)\n"
        "except Stopped: sys.exit(3)\n"
    )
    settings = path.with_suffix(".json")
    settings.write_text(config.to_json())
    root = str(vae_recipe.__file__).split("/cryodrgn_plugin/engine")[0]
    return subprocess.Popen([sys.executable, "-c", code, str(path), str(settings), root])


def outcome(path):
    """What must not depend on having been stopped: all figures but the seconds, the latents and the model."""
    run = Run.open(path)
    metrics = [{name: value for name, value in row.items() if name != "seconds"} for row in run.metrics()]
    return metrics, run.latents().z, torch.load(run.model_file, weights_only=True)["state"]


@pytest.mark.parametrize(("kind", "how"), [("mlp", signal.SIGKILL), ("basis", signal.SIGTERM)])
def test_a_stopped_training_resumes_bit_for_bit(kind, how, two_states, tmp_path):
    star, _ = two_states
    config = config_for(star, kind, **{"training.epochs": 12, "training.precision": "auto"})
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    process = train_in_subprocess(stopped, config)
    while process.poll() is None and not list(stopped.glob("checkpoints/epoch_00[2-9].pt")):
        time.sleep(0.01)
    process.send_signal(how)
    assert process.wait() == (3 if how == signal.SIGTERM else -signal.SIGKILL)
    assert not (stopped / "latents.npz").exists()
    train(stopped, config, resume=True)
    train(whole, config)
    (metrics, z, state), (metrics_again, z_again, state_again) = outcome(whole), outcome(stopped)
    assert metrics_again == metrics and len(metrics) == 12
    np.testing.assert_array_equal(z_again, z)
    assert all(torch.equal(state_again[name], state[name]) for name in state)


def test_checkpoints_load_without_unpickling_and_old_ones_are_dropped(two_states, tmp_path):
    star, _ = two_states
    run, _ = train(tmp_path / "run", config_for(star, "mlp", **{"training.epochs": 4}))
    kept = sorted(file.name for file in run.checkpoints_dir.iterdir())
    assert len(kept) <= 3 and kept[-1] == "epoch_004.pt"
    state, model, _ = load_checkpoint(run.latest_checkpoint(), torch.device("cpu"))
    assert state.epoch == 4 and state.batch == 0
    assert all(isinstance(value, torch.Tensor) for value in model.values())


def test_a_damaged_checkpoint_is_named(two_states, tmp_path):
    star, _ = two_states
    config = config_for(star, "mlp")
    run, _ = train(tmp_path / "run", config)
    run.latest_checkpoint().write_bytes(b"not a checkpoint")
    with pytest.raises(DataError, match="cannot be read as a checkpoint"):
        train(tmp_path / "run", config, resume=True)


def test_training_stops_early_and_keeps_the_best_epoch(two_states, tmp_path):
    star, _ = two_states
    settings = {"training.epochs": 40, "training.early_stop": 2, "training.learning_rate": 3e-2}
    run, _ = train(tmp_path / "run", config_for(star, "mlp", **settings))
    held_out = [row["held_out"] for row in run.metrics()]
    best = int(np.argmin(held_out)) + 1
    assert len(held_out) < 40 and best == len(held_out) - 2
    assert run.checkpoint_file(best).exists()


def test_a_loss_that_is_no_number_is_one_sentence_and_loses_nothing(two_states, tmp_path):
    star, _ = two_states
    good = config_for(star, "mlp", **{"training.epochs": 1})
    run, _ = train(tmp_path / "run", good)
    before = run.latest_checkpoint().read_bytes()
    config = dataclasses.replace(good, training=dataclasses.replace(good.training, learning_rate=1e30, epochs=5))
    run.config = config
    with pytest.raises(DataError, match=r"stopped being a number in epoch .*training\.learning_rate"):
        fit_vae(run, config, ParticleDataset.open(config.particles, config.data), resume=True)
    assert run.checkpoint_file(1).read_bytes() == before


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"encoder.kind": "table", "training.early_stop": 3}, "early_stop needs held-out"),
        ({"training.points": 0.5}, "only decoder.kind = mlp"),
        ({"decoder.n_bases": 0}, "without bases z changes nothing"),
        ({"device": "cuda:63"}, "choose auto or cpu"),
        ({"device": "abacus"}, "choose auto, cpu, or cuda"),
    ],
)
def test_settings_that_contradict_each_other_are_named(overrides, sentence, two_states, tmp_path):
    star, _ = two_states
    with pytest.raises(ConfigError, match=sentence):
        train(tmp_path / "run", config_for(star, "basis", **overrides))


def test_sparse_gradients_train_the_same_kind_of_model(two_states, tmp_path):
    star, coordinate = two_states
    settings = {"training.epochs": 20, "training.learning_rate": 3e-3, "training.sparse": True}
    _, fit = train(tmp_path / "run", config_for(star, "basis", **settings))
    assert explained(fit.z, coordinate) > 0.9
