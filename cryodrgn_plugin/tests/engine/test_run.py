"""The run folder: it says what became of the run, nothing in it is half written, nothing is overwritten unasked."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from cryodrgn_plugin.engine.config import RunConfig, recipe_config
from cryodrgn_plugin.engine.errors import ConfigError, DataError
from cryodrgn_plugin.engine.io.atomic import atomic_path
from cryodrgn_plugin.engine.io.writing import replacing_folder
from cryodrgn_plugin.engine.progress import PlainReporter, StageClock, duration
from cryodrgn_plugin.engine.run import SCHEMA, Run
from cryodrgn_plugin.engine.stopping import Stopped, graceful_stop, stop_on_signals


@pytest.fixture
def run(tmp_path) -> Run:
    return Run.create(tmp_path / "run", RunConfig(particles="p.star", seed=3), command="cryodrgn-plugin train p.star")


def test_an_opened_run_has_the_settings_it_was_created_with(run):
    assert Run.open(run.path).config == run.config


def test_provenance_names_the_software_and_the_hardware_but_not_the_host(run):
    kept = run.info["provenance"]
    assert kept["seed"] == 3 and kept["command"].endswith("p.star") and kept["libraries"]["numpy"] == np.__version__
    assert kept["hardware"]["cores"] >= 1 and kept["hardware"]["memory_gb"] > 0
    assert socket.gethostname() not in run.info_file.read_text()


def test_a_run_is_not_overwritten_unasked(run):
    with pytest.raises(DataError, match="already holds a run; resume it, overwrite it, or choose another folder"):
        Run.create(run.path, run.config)


def test_overwriting_removes_the_run_and_nothing_else(run):
    run.append_metrics({"epoch": 1, "loss": 1.0})
    run.checkpoints_dir.mkdir()
    run.checkpoint_file(1).write_text("x")
    (run.path / "job.star").write_text("a host's own file")
    fresh = Run.create(run.path, RunConfig(particles="other.star"), overwrite=True)
    assert fresh.metrics() == [] and fresh.latest_checkpoint() is None and fresh.status == "created"
    assert (run.path / "job.star").read_text() == "a host's own file"


def test_a_folder_that_is_no_run_keeps_its_files(tmp_path):
    (tmp_path / "volumes").mkdir()
    (tmp_path / "volumes" / "mine.mrc").write_text("x")
    Run.create(tmp_path, RunConfig(), overwrite=True)
    assert (tmp_path / "volumes" / "mine.mrc").exists()


def test_resuming_starts_a_run_that_is_not_there(tmp_path):
    assert Run.create(tmp_path / "new", RunConfig(), resume=True).status == "created"


def test_resuming_with_other_settings_names_the_first_that_differs(run):
    with pytest.raises(DataError, match=r"was made with closed_form\.nodes = 40, not 50"):
        Run.create(
            run.path, recipe_config("fast", {"particles": "p.star", "seed": 3, "closed_form.nodes": 50}), resume=True
        )


def test_resuming_may_ask_for_more_epochs(run):
    with run.working():
        pass
    longer = recipe_config("fast", {"particles": "p.star", "seed": 3, "training.epochs": 99})
    resumed = Run.create(run.path, longer, resume=True)
    assert resumed.status == "stopped" and Run.open(run.path).config.training.epochs == 99


@pytest.mark.parametrize(
    "content, sentence",
    [
        (None, "is not a run folder: it has no run.json"),
        ("{", "is not a run folder: its run.json cannot be read"),
        ("[1]", "is not a run folder: its run.json cannot be read"),
        ("{}", "its run.json names no schema"),
        (json.dumps({"schema": SCHEMA + 1}), "written by a newer version"),
        (json.dumps({"schema": SCHEMA}), "is not a complete run folder: its config.json cannot be read"),
    ],
)
def test_what_is_no_run_is_refused_in_one_sentence(tmp_path, content, sentence):
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(DataError, match=sentence) as refusal:
        Run.open(tmp_path)
    assert "\n" not in str(refusal.value)


def test_a_file_is_no_place_for_a_run(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="is a file; give a folder"):
        Run.create(tmp_path / "file", RunConfig())
    with pytest.raises(DataError, match="There is no run folder"):
        Run.open(tmp_path / "absent")


def test_the_status_is_running_inside_and_finished_after(run):
    with run.working():
        assert run.status == "running"
    assert run.status == "finished" and run.message == ""
    assert run.info["steps"]["train"]["peak_memory_mb"] > 10


@pytest.mark.parametrize(
    "error, status, message",
    [
        (DataError("particles.star: row 3 has no pose."), "failed", "particles.star: row 3 has no pose."),
        (ConfigError("z_dim is -1; it must be 0 or more."), "failed", "z_dim is -1; it must be 0 or more."),
        (Stopped("Stopped after epoch 3."), "stopped", "Stopped after epoch 3."),
        (OSError(errno.ENOSPC, "No space left", "x.mrc"), "failed", "The disk is full while writing x.mrc"),
        (ZeroDivisionError("division by zero"), "failed", "a bug: ZeroDivisionError: division by zero"),
        (MemoryError(), "failed", "not enough memory"),
    ],
)
def test_a_run_that_ends_badly_says_why(run, error, status, message):
    with pytest.raises(type(error)), run.working():
        raise error
    assert run.status == status and message in run.message and "\n" not in run.message


def test_the_traceback_of_a_bug_is_in_the_log_and_that_of_a_mistake_is_not(run):
    with pytest.raises(DataError), run.working():
        raise DataError("no poses")
    assert not run.log_file.exists()
    with pytest.raises(KeyError), run.working():
        raise KeyError("x")
    assert "test_run.py" in run.log_file.read_text()


def test_an_error_is_not_hidden_when_the_status_cannot_be_kept_either(run, monkeypatch):
    def full_disk(*_):
        raise DataError("there is no space to write run.json")

    with pytest.raises(DataError, match=r"no space to write model\.pt"), run.working():
        monkeypatch.setattr(Run, "_write_info", full_disk)
        raise DataError("there is no space to write model.pt")


def test_a_failed_analysis_leaves_the_run_finished(run):
    with run.working():
        pass
    with pytest.raises(DataError), run.working("analysis"):
        raise DataError("too few particles")
    assert run.status == "finished" and run.info["steps"]["analysis"]["message"] == "too few particles"


def test_a_resumed_training_goes_on_with_its_clock(run):
    with pytest.raises(Stopped), run.working():
        raise Stopped("told to")
    info = run.info
    info["steps"]["train"]["seconds"] = 100.0
    run.info_file.write_text(json.dumps(info))
    with run.working():
        pass
    train = run.info["steps"]["train"]
    assert train["seconds"] >= 100 and train["sessions"] == 2


def test_metrics_of_epochs_after_the_checkpoint_are_replaced(run):
    for epoch, loss in ((1, 0.9), (2, 0.8), (3, 0.7)):
        run.append_metrics({"epoch": epoch, "loss": loss})
    run.append_metrics({"epoch": 2, "loss": 0.85, "held_out": 0.86})
    assert run.metrics() == [{"epoch": 1, "loss": 0.9}, {"epoch": 2, "loss": 0.85, "held_out": 0.86}]


def test_the_latest_checkpoint_is_that_of_the_highest_epoch(run):
    run.checkpoints_dir.mkdir()
    for epoch in (2, 1000, 10):
        run.checkpoint_file(epoch).write_text("")
    assert run.latest_checkpoint() == run.checkpoint_file(1000)


def test_latents_come_back_as_they_were(run):
    z = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    run.save_latents(z, coordinate=z[:, 0], rows=np.array([1, 3, 5, 7, 9]))
    back = run.latents()
    np.testing.assert_array_equal(back.z, z)
    np.testing.assert_array_equal(back.rows, [1, 3, 5, 7, 9])
    np.testing.assert_array_equal(back.coordinate, z[:, 0])
    assert back.uncertainty is None


def test_latents_of_a_run_that_failed_are_refused_with_its_reason(run):
    with pytest.raises(DataError), run.working():
        raise DataError("no poses in p.star")
    with pytest.raises(DataError, match=r"has no latents\.npz.*failed: no poses in p\.star"):
        run.latents()


def test_an_interrupted_write_leaves_the_old_file_and_no_other(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_path(file) as temporary:
        temporary.write_text("half of the n")
        raise KeyboardInterrupt
    assert file.read_text() == "old" and os.listdir(tmp_path) == ["table.csv"]


def test_a_broken_off_analysis_leaves_the_old_one(run):
    place = run.results_dir("analysis")
    with replacing_folder(place) as folder:
        (folder / "analysis.json").write_text("first")
    with pytest.raises(DataError), replacing_folder(place) as folder:
        (folder / "analysis.json").write_text("second")
        raise DataError("broken off")
    assert (place / "analysis.json").read_text() == "first"
    assert [path.name for path in place.parent.glob("*analysis*")] == ["analysis"]


def test_particles_are_found_relative_to_a_folder_above_the_run(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "p.star").write_text("data_\n\nloop_\n_rlnImageName\n1@a.mrcs\n")
    run = Run.create(tmp_path / "jobs" / "run", RunConfig(particles="data/p.star"))
    monkeypatch.chdir(tmp_path / "jobs")
    assert run.particles().n == 1


def test_a_signal_stops_at_once_outside_a_graceful_section():
    with pytest.raises(Stopped, match="SIGTERM"), stop_on_signals():
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_waits_for_the_checkpoint_in_a_graceful_section():
    reached = []
    with pytest.raises(Stopped), stop_on_signals(), graceful_stop() as stop:
        stop.raise_if_requested()
        os.kill(os.getpid(), signal.SIGTERM)
        reached.append("checkpoint")
        stop.raise_if_requested()
    assert reached == ["checkpoint"]


def test_a_second_signal_stops_at_once_in_a_graceful_section():
    with pytest.raises(Stopped, match="SIGINT"), stop_on_signals(), graceful_stop():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("the second signal was held back")


def test_signals_are_the_hosts_again_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_time_left_follows_the_pace_since_the_stage_was_taken_up(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("cryodrgn_plugin.engine.progress.time.monotonic", lambda: now[0])
    clock = StageClock()
    now[0] = 10.0
    assert clock.times("epoch", 6, 10) == (10.0, 40.0)  # resumed after epoch 5: 10 s for one, four to go
    now[0] = 12.0
    assert clock.times("maps", 1, 3) == (2.0, 4.0)


def test_plain_progress_is_one_line_per_step(capsys):
    reporter = PlainReporter(least_interval_s=0)
    reporter.step("epoch", 3, 20, {"loss": 0.98712})
    assert capsys.readouterr().out == "epoch 3/20  loss 0.9871  0 s, 0 s left\n"


def test_durations_read_as_people_write_them():
    assert [duration(s) for s in (8.4, 200, 7500)] == ["8 s", "3 min 20 s", "2 h 5 min"]


def test_the_size_of_a_program_is_its_own_and_not_that_of_who_started_it():
    ballast = np.ones(40_000_000)  # 320 MB
    code = "from cryodrgn_plugin.engine.provenance import peak_memory_mb; print(peak_memory_mb())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 5 < int(told) < 250 and len(ballast)
