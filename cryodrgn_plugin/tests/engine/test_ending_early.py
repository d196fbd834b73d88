"""A training that is asked to end early leaves what a shorter one would, and goes on as if it had never been asked."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.closed_form.fast_recipe import ClosedForm
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.run_lock import lock
from cryodrgn_plugin.engine.simulate.tiny import tiny_set
from cryodrgn_plugin.engine.stopping import EndedEarly, Stopped, ask_to_stop, graceful_stop

SMALL = [
    "--recipe",
    "paper",
    "--decoder.n_bases",
    "2",
    "--z_dim",
    "2",
    "--encoder.width",
    "16",
    "--encoder.layers",
    "1",
]


@pytest.fixture(scope="module")
def star(tmp_path_factory):
    return tiny_set(tmp_path_factory.mktemp("set"), n=60, box=16)


def train(star, out, epochs, *more):
    return main(["train", str(star), "--out", str(out), *SMALL, "--training.epochs", str(epochs), *more])


def asked(folder, keep):
    folder.mkdir()
    ask_to_stop(folder / "stop_request", keep)
    return folder


def test_what_is_kept_is_what_a_shorter_training_ends_with_and_it_goes_on_unmoved(star, tmp_path, capsys):
    short, alone, early = tmp_path / "short", tmp_path / "alone", asked(tmp_path / "early", keep=True)
    assert train(star, short, 1) == train(star, alone, 3) == 0
    assert train(star, early, 3) == 3
    run = Run.open(early)
    assert (run.status, run.latents().epochs) == ("stopped", (1, 3))
    assert "ended early, after epoch 1 of 3" in run.message and run.message in capsys.readouterr().err
    assert run.ended_early == "after epoch 1 of 3"
    assert not run.stop_file.exists() and not run.progress_file.exists()
    np.testing.assert_array_equal(run.latents().z, Run.open(short).latents().z)
    assert main(["analyze", str(early), "--clusters", "2", "--umap", "no", "--figures", "no"]) == 0
    assert train(star, early, 3, "--resume") == 0
    np.testing.assert_array_equal(run.latents().z, Run.open(alone).latents().z)
    assert run.status == "finished" and not run.ended_early


def test_a_training_that_is_asked_to_stop_does_so_within_its_epoch(star, tmp_path):
    run = Run(asked(tmp_path / "run", keep=False), recipe_config("paper"))
    assert train(star, run.path, 3) == 3
    assert run.status == "stopped" and not run.metrics() and run.latest_checkpoint() and not run.latents_file.exists()


def test_a_fast_training_is_kept_from_where_its_half_sets_are_apart(tmp_path):
    hinge = tiny_set(tmp_path / "hinge", n=200, box=16, seed=4)
    settings = {"z_dim": 2, "closed_form.n_components": 2, "closed_form.iterations": 3, "closed_form.nodes": 6}
    config = recipe_config("fast", {**settings, "particles": str(hinge)})
    asked(tmp_path / "run", keep=True)
    run = Run.create(tmp_path / "run", config)
    with pytest.raises(EndedEarly), run.working():
        fit(run, config)
    recipe = ClosedForm(run, config, ParticleDataset.open(hinge, config.data))
    assert run.latents().steps == (recipe.shown_from, recipe.n_steps)
    assert run.status == "stopped" and run.model_file.exists()


def test_it_says_how_far_it_is_and_can_be_asked_only_while_it_goes_on(tmp_path, capsys):
    run = Run.create(tmp_path / "run", recipe_config("paper"))
    with pytest.raises(DataError, match="no training is going on; it is created"):
        run.ask_to_stop(keep=True)
    with run.working():
        run.progress("epoch", 3, 20, loss=0.9871)
        assert main(["info", str(run.path)]) == 0
        assert "Epoch 3 of 20, loss 0.9871, about" in capsys.readouterr().out
        assert json.loads(run.progress_file.read_text())["done"] == 3
        assert main(["stop", str(run.path), "--keep"]) == 0
        with graceful_stop(run.stop_file) as stop, pytest.raises(EndedEarly):
            stop.raise_if_requested(may_keep=False)
            stop.raise_if_requested()
    assert run.how_far is None


def test_a_search_for_poses_has_nothing_to_keep_before_its_end(tmp_path):
    run = Run.create(tmp_path / "run", recipe_config("abinitio"))
    with run.working():
        with pytest.raises(DataError, match="at its end only"):
            run.ask_to_stop(keep=True)
        run.ask_to_stop(keep=False)
        with graceful_stop(run.stop_file) as stop, pytest.raises(Stopped):
            stop.raise_if_requested(may_keep=False)


def test_a_killed_run_is_stopped_and_what_was_asked_of_it_is_past(tmp_path):
    run = Run.create(tmp_path / "run", recipe_config("paper"))
    script = (
        "import sys, time; from cryodrgn_plugin.engine.run import Run; run = Run.open(sys.argv[1])\n"
        "with run.working(): print('at work', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(run.path)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"at work\n"
    assert run.status == "running"
    run.ask_to_stop(keep=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert run.status == "stopped" and "was killed" in run.message
    with run.working():
        assert not run.stop_file.exists()


def test_looking_whether_somebody_is_at_work_keeps_nobody_out(tmp_path):
    run = Run.create(tmp_path / "run", recipe_config("paper"))
    script = (
        "import fcntl, sys, time; file = open(sys.argv[1], 'a'); fcntl.lockf(file, fcntl.LOCK_EX)\n"
        "print('looking', flush=True); time.sleep(0.03)"
    )
    command = [sys.executable, "-c", script, str(run.path / ".train.lock")]
    looking = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert looking.stdout.readline() == b"looking\n"
    began = time.monotonic()
    with lock(run.path, "train"):
        assert time.monotonic() - began < 0.2
    looking.wait()
