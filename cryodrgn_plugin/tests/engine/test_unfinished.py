"""A training that has not finished can be looked at, and goes on as if nobody had looked."""

import json
import os

import numpy as np
import pytest
from scipy.stats import spearmanr

from cryodrgn_plugin.engine.analysis.truth import Truth
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.closed_form import fast_recipe
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.decoders.model_file import load_model
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate.tiny import tiny_set
from cryodrgn_plugin.engine.stopping import Stopped

pytestmark = pytest.mark.slow

EPOCHS = 3
NETWORKS = {
    "paper": ["--recipe", "paper", "--decoder.n_bases", "2", "--z_dim", "2"],
    "cryodrgn": ["--recipe", "cryodrgn", "--decoder.width", "16", "--decoder.layers", "1", "--z_dim", "2"],
    "ace": ["--recipe", "ace", "--decoder.n_bases", "1", "--z_dim", "1", "--amortized.trunk_width", "8"],
}


@pytest.fixture(scope="module")
def star(tmp_path_factory):
    return tiny_set(tmp_path_factory.mktemp("set"), n=60, box=16)


def train(star, out, recipe, *more):
    command = "abinitio" if recipe == "ace" else "train"
    sizes = ["--encoder.width", "16", "--encoder.layers", "1", "--training.epochs", str(EPOCHS)]
    return main([command, str(star), "--out", str(out), *NETWORKS[recipe], *sizes, *more])


def analyze(run):
    return main(
        ["analyze", str(run), "--clusters", "2", "--components", "1", "--steps", "2", "--umap", "no", "--figures", "no"]
    )


@pytest.mark.parametrize("recipe", NETWORKS)
def test_it_is_shown_as_its_last_checkpoint_has_it_and_goes_on_unmoved(recipe, star, tmp_path, capsys):
    looked, alone = tmp_path / "looked", tmp_path / "alone"
    assert train(star, alone, recipe) == 0
    assert train(star, looked, recipe, "--until-epoch", "1") == 3
    assert analyze(looked) == 0
    index = json.loads((looked / "analysis" / "analysis.json").read_text())
    assert index["cautions"][0] == f"The training has not finished; this is how it stood after epoch 1 of {EPOCHS}."
    assert f"after epoch 1 of {EPOCHS}" in capsys.readouterr().out
    run = Run.open(looked)
    assert run.latents().epochs == (1, EPOCHS) and run.status == "stopped"
    assert main(["volumes", str(looked), "--particles", "0", "--out", str(tmp_path / "maps")]) == 0
    assert train(star, looked, recipe, "--resume") == 0
    finished = Run.open(looked).latents()
    np.testing.assert_array_equal(finished.z, Run.open(alone).latents().z)
    assert finished.epochs is None
    point = finished.z[0]
    volumes = [load_model(folder / "model.pt").decoder.volume(point) for folder in (looked, alone)]
    np.testing.assert_array_equal(*volumes)
    assert analyze(looked) == 0
    cautions = json.loads((looked / "analysis" / "analysis.json").read_text())["cautions"]
    assert not any("not finished" in caution for caution in cautions)


def test_the_latents_are_those_that_a_training_of_so_many_epochs_ends_with(star, tmp_path):
    """With a constant learning rate, one epoch of three is a training of one epoch."""
    short, paused = tmp_path / "short", tmp_path / "paused"
    assert train(star, short, "paper", "--training.epochs", "1") == 0
    assert train(star, paused, "paper", "--until-epoch", "1") == 3
    assert main(["volumes", str(paused), "--particles", "0", "--out", str(tmp_path / "maps")]) == 0
    np.testing.assert_array_equal(Run.open(paused).latents().z, Run.open(short).latents().z)
    volumes = [load_model(path / "model.pt").decoder.volume(np.zeros(2, np.float32)) for path in (short, paused)]
    np.testing.assert_array_equal(*volumes)


def test_a_later_checkpoint_is_looked_at_anew_and_a_finished_run_is_left_alone(star, tmp_path):
    out = tmp_path / "run"
    seen = []
    for epoch in (1, 2):
        assert train(star, out, "paper", "--until-epoch", str(epoch), "--resume") == 3
        os.utime(out / "checkpoints" / f"epoch_{epoch:03d}.pt")
        assert main(["volumes", str(out), "--particles", "0", "--out", str(tmp_path / "maps")]) == 0
        seen.append(Run.open(out).latents().epochs)
    assert seen == [(1, EPOCHS), (2, EPOCHS)]
    assert train(star, out, "paper", "--resume") == 0
    before = (out / "latents.npz").stat().st_mtime_ns
    assert main(["volumes", str(out), "--particles", "0", "--out", str(tmp_path / "maps")]) == 0
    assert (out / "latents.npz").stat().st_mtime_ns == before


def test_an_unfinished_run_is_not_validated(star, tmp_path, capsys):
    assert train(star, tmp_path / "run", "paper", "--until-epoch", "1") == 3
    assert main(["volumes", str(tmp_path / "run"), "--particles", "0", "--out", str(tmp_path / "maps")]) == 0
    capsys.readouterr()
    assert main(["validate", str(tmp_path / "run")]) == 2
    assert f"after epoch 1 of {EPOCHS}; resume the training" in capsys.readouterr().err


def test_a_run_without_a_checkpoint_says_that_it_has_not_finished(star, tmp_path, capsys):
    assert train(star, tmp_path / "run", "paper", "--until-epoch", "1") == 3
    for file in (tmp_path / "run" / "checkpoints").iterdir():
        file.unlink()
    capsys.readouterr()
    assert analyze(tmp_path / "run") == 2
    assert "the training has not finished" in capsys.readouterr().err


def test_a_closed_form_that_has_maps_at_its_end_only_says_how_far_it_is(star, tmp_path, capsys):
    run = Run.create(tmp_path / "run", recipe_config("abinitio", {"particles": str(star)}))
    run.checkpoints_dir.mkdir()
    run.checkpoint_file(7).touch()
    assert analyze(run.path) == 2
    said = capsys.readouterr().err
    assert "after step 7" in said and "at its end only; let it finish, or resume it" in said


# --- the fast recipe ------------------------------------------------------------------------------------------------

FAST = {"z_dim": 3, "closed_form.n_components": 2, "closed_form.iterations": 3, "closed_form.nodes": 6}
"""Three steps with all images together, three with the half-sets apart, nodes at the end of them, and some more."""


class StopsAfter:
    """In place of the watch for signals: stops after some steps."""

    def __init__(self, steps):
        self.steps = steps

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def raise_if_requested(self, **_):
        self.steps -= 1
        if self.steps == 0:
            raise Stopped("now")


@pytest.fixture(scope="module")
def hinge(tmp_path_factory):
    return tiny_set(tmp_path_factory.mktemp("hinge"), n=600, box=24, seed=4)


def fit_for(run, steps, monkeypatch):
    """Train for some steps; the whole of it with 0."""
    with monkeypatch.context() as patched:
        patched.setattr(fast_recipe, "graceful_stop", lambda _file: StopsAfter(steps))
        try:
            with run.working():
                fit(run, run.config, resume=True)
        except Stopped:
            pass


def test_a_fast_run_is_shown_from_where_half_sets_are_apart_and_goes_on_unmoved(hinge, tmp_path, monkeypatch, capsys):
    config = recipe_config("fast", {**FAST, "particles": str(hinge)})
    looked, alone = (Run.create(tmp_path / name, config) for name in ("looked", "alone"))
    fit_for(alone, 0, monkeypatch)
    true, steps_in_all = Truth.open(hinge.parent), len(alone.metrics())
    fit_for(looked, 3, monkeypatch)
    assert analyze(looked.path) == 2
    assert f"after step 3 of {steps_in_all}, and has latents and maps from step 4 on" in capsys.readouterr().err
    for steps, done in ((1, 4), (2, 6), (1, 7)):
        fit_for(looked, steps, monkeypatch)
        notes = looked.info["notes"]
        assert analyze(looked.path) == 0
        said = f"The training has not finished; this is how it stood after step {done} of {steps_in_all}."
        assert looked.results("analysis").index["cautions"][0] == said
        latents = Run.open(looked.path).latents()
        assert latents.steps == (done, steps_in_all) and latents.z.shape == (600, 3)
        assert abs(spearmanr(latents.z[:, 0], true.coordinate).statistic) > 0.6
        volume = load_model(looked.path / "model.pt").decoder.volume(latents.z.mean(0))
        assert np.corrcoef(volume.ravel(), true.maps.mean(0).ravel())[0, 1] > 0.8
        assert looked.info["notes"] == notes
    fit_for(looked, 0, monkeypatch)
    finished, undisturbed = looked.latents(), alone.latents()
    assert finished.steps is None
    for name in ("z", "coordinate", "contrast", "pose_correction"):
        np.testing.assert_array_equal(getattr(finished, name), getattr(undisturbed, name), name)
    assert analyze(looked.path) == 0
    assert not any("not finished" in caution for caution in looked.results("analysis").index["cautions"])
