"""A run belongs to one process and to its particles: nothing is taken up that is not what it was, or half done."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine import run_layout
from cryodrgn_plugin.engine.cli import main as cli
from cryodrgn_plugin.engine.config import RunConfig, recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.io.atomic import atomic_path
from cryodrgn_plugin.engine.io.mrc import write_stack
from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.engine.io.torch_files import load_torch, save_torch
from cryodrgn_plugin.engine.networks.network_checkpoint import TrainingState, load_checkpoint, save_checkpoint
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.run_lock import is_busy, lock
from cryodrgn_plugin.engine.source_check import require_source, settle_source

from .particle_files import small_set
from .planted_run import planted_run

HOLDS_A_RUN = """
import sys, time
from cryodrgn_plugin.engine.run import Run
run = Run.open(sys.argv[1])
with run.working(sys.argv[2]):
    print("at work", flush=True)
    time.sleep(60)
"""


def at_work(run: Run, step: str = "train") -> subprocess.Popen:
    """Another process that is at a step of the run."""
    command = [sys.executable, "-c", HOLDS_A_RUN, str(run.path), step]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "at work\n"
    return process


@pytest.fixture
def run(tmp_path) -> Run:
    return Run.create(tmp_path / "run", RunConfig(particles="p.star", seed=3))


# --- one process at a time --------------------------------------------------------------------------------------------


def test_a_second_process_is_told_who_holds_the_run(run):
    other = at_work(run)
    try:
        for how in ({"overwrite": True}, {"resume": True}):
            with pytest.raises(DataError, match=rf"run is being written by process {other.pid} on .* since .*; wait"):
                Run.create(run.path, run.config, **how)
        with pytest.raises(DataError, match="is being written by"), run.working():
            pass
        with run.working("analysis"):
            pass  # may look at a training that goes on
    finally:
        other.kill()
        other.wait()
    assert (run.path / ".train.lock").exists(), "a killed process leaves its file"
    assert Run.create(run.path, replace(run.config, seed=4), overwrite=True).config.seed == 4
    assert not list(run.path.glob(".*lock"))


def test_a_run_that_is_being_looked_at_is_not_overwritten(run):
    other = at_work(run, "analysis")
    try:
        assert is_busy(run.path)
        with pytest.raises(DataError, match="is being written by"):
            Run.create(run.path, run.config, overwrite=True)
    finally:
        other.kill()
        other.wait()
    assert not is_busy(run.path)


def test_a_process_may_take_a_lock_again_and_gives_it_back(tmp_path):
    with lock(tmp_path, "train"):
        with lock(tmp_path, "train"):
            pass
        assert (tmp_path / ".train.lock").exists() and not is_busy(tmp_path)
    assert not (tmp_path / ".train.lock").exists()


# --- overwriting ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interrupted_after", range(len(run_layout.CONTENTS) + 1))
def test_an_interrupted_overwriting_leaves_nothing_to_go_on_from(run, monkeypatch, interrupted_after):
    save_checkpoint(run, TrainingState(epoch=1), {"seed": torch.tensor(3)}, [])
    removed = []

    def remove(path):
        if len(removed) == interrupted_after:
            raise KeyboardInterrupt
        removed.append(path.name)
        original(path)

    original = run_layout.remove
    monkeypatch.setattr(run_layout, "remove", remove)
    other = replace(run.config, seed=4)
    with pytest.raises(KeyboardInterrupt):
        Run.create(run.path, other, overwrite=True)
        raise KeyboardInterrupt  # was not interrupted at all
    monkeypatch.undo()
    try:
        taken_up = Run.create(run.path, other, resume=True)
    except DataError as error:
        assert "was made with seed = 3, not 4" in str(error)
    else:
        assert taken_up.latest_checkpoint() is None and taken_up.config.seed == 4


def test_checkpoints_without_a_run_are_not_gone_on_from(run):
    save_checkpoint(run, TrainingState(epoch=1), {}, [])
    run.info_file.unlink()
    with pytest.raises(DataError, match=r"holds checkpoints or a model without run\.json; overwrite it"):
        Run.create(run.path, run.config, resume=True)
    assert Run.create(run.path, run.config, overwrite=True).latest_checkpoint() is None


def test_a_training_that_never_began_gives_way(tmp_path, capsys):
    out = str(tmp_path / "run")
    assert cli.main(["train", str(tmp_path / "nowhere.star"), "--out", out]) == cli.USER_ERROR
    assert cli.main(["train", str(tmp_path / "elsewhere.star"), "--out", out]) == cli.USER_ERROR
    assert capsys.readouterr().err.count("there is no such file") == 2


# --- particles --------------------------------------------------------------------------------------------------------


def changed(star, how):
    tables = read_star(star)
    frame = tables["particles"]
    frame = {
        "reversed": lambda: frame.iloc[::-1].reset_index(drop=True),
        "fewer": lambda: frame.iloc[:-4],
        "poses": lambda: frame.assign(rlnAngleRot=frame["rlnAngleRot"] + 1),
        "ctf": lambda: frame.assign(rlnDefocusU=frame["rlnDefocusU"] + 10),
    }[how]()
    write_star(star, {**tables, "particles": frame})


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("reversed", "other images"),
        ("fewer", "8 particles where it had 12"),
        ("poses", "other poses"),
        ("ctf", "other CTFs"),
    ],
)
def test_a_training_is_not_resumed_with_other_particles(tmp_path, how, said):
    star = small_set(tmp_path)
    run = Run.create(tmp_path / "run", RunConfig(particles=str(star)))
    dataset = ParticleDataset.open(star)
    settle_source(run, dataset.table, dataset.source.stacks, resumes=False, poses=True)
    settle_source(run, dataset.table, dataset.source.stacks, resumes=True, poses=True)
    changed(star, how)
    dataset = ParticleDataset.open(star)
    with pytest.raises(DataError, match=f"has changed since .* was begun: it .*{said}"):
        settle_source(run, dataset.table, dataset.source.stacks, resumes=True, poses=True)
    if how == "poses":
        settle_source(run, dataset.table, dataset.source.stacks, resumes=True, poses=False)


def test_stacks_of_another_size_are_other_particles(tmp_path):
    star = small_set(tmp_path)
    run = Run.create(tmp_path / "run", RunConfig(particles=str(star)))
    dataset = ParticleDataset.open(star)
    settle_source(run, dataset.table, dataset.source.stacks, resumes=False, poses=True)
    write_stack(tmp_path / "stack.mrcs", np.zeros((13, 32, 32)), 4.0)
    dataset = ParticleDataset.open(star)
    with pytest.raises(DataError, match="was begun: it has stacks of another size"):
        settle_source(run, dataset.table, dataset.source.stacks, resumes=True, poses=True)


def test_results_do_not_go_to_other_rows(tmp_path):
    run = planted_run(tmp_path, n=12)
    table = run.given_particles()
    run.note(source={"rows": table.n, "images": "0"})
    with pytest.raises(DataError, match="lists other images, or the same in another order, so that results would go"):
        run.given_particles()


def test_a_moved_set_is_the_same(tmp_path):
    star = small_set(tmp_path)
    run = Run.create(tmp_path / "run", RunConfig(particles=str(star)))
    dataset = ParticleDataset.open(star)
    settle_source(run, dataset.table, dataset.source.stacks, resumes=False, poses=True)
    tables = read_star(star)
    names = [f"{k}@elsewhere/stack.mrcs" for k in range(1, 13)]
    write_star(star, {**tables, "particles": tables["particles"].assign(rlnImageName=names)})
    require_source(run, run.given_particles())


def test_train_refuses_a_star_file_that_was_sorted_after_its_checkpoint(tmp_path, capsys):
    star, out = small_set(tmp_path, count=40, box=16), str(tmp_path / "run")
    small = ["--decoder.width", "16", "--encoder.width", "16", "--training.epochs", "2", "--z_dim", "1"]
    command = ["train", str(star), "--out", out, "--recipe", "paper", *small]
    assert cli.main([*command, "--until-epoch", "1"]) == cli.STOPPED
    original = star.read_bytes()
    changed(star, "reversed")
    assert cli.main([*command, "--resume"]) == cli.USER_ERROR
    assert "particles.star has changed since" in capsys.readouterr().err
    star.write_bytes(original)
    assert cli.main([*command, "--resume"]) == cli.DONE


# --- files ------------------------------------------------------------------------------------------------------------


def test_what_killed_processes_left_is_removed_at_the_next_start(run):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    run.checkpoints_dir.mkdir()
    left = [run.checkpoints_dir / f".epoch_001.{gone.pid}.part.pt", run.path / f".model.{gone.pid}.part.pt"]
    for file in left:
        file.write_text("half")
    (run.path / ".analysis.part").mkdir()
    kept = run.path / f".latents.{os.getppid()}.part.npz"
    kept.write_text("of a process that is alive")
    Run.create(run.path, run.config, resume=True)
    assert not any(file.exists() for file in left) and not (run.path / ".analysis.part").exists()
    assert kept.exists()


def test_a_file_takes_its_leftovers_with_it(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / f".map.{gone.pid}.part.mrc").write_text("half")
    with atomic_path(tmp_path / "map.mrc") as temporary:
        temporary.write_text("whole")
    assert [file.name for file in tmp_path.iterdir()] == ["map.mrc"]


@pytest.fixture
def small_disk():
    """Files of this process may have 20,000 bytes."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_explained_and_the_checkpoint_before_stays(run, small_disk):
    save_checkpoint(run, TrainingState(epoch=1), {"weight": torch.zeros(10)}, [])
    with pytest.raises(DataError, match=r"epoch_002\.pt: there is no space"), run.working():
        save_checkpoint(run, TrainingState(epoch=2), {"weight": torch.zeros(10_000)}, [])
    assert [file.name for file in run.checkpoints_dir.iterdir()] == ["epoch_001.pt"]
    assert run.status == "failed" and "no space" in run.message


@pytest.mark.parametrize("share", [0.1, 0.4, 0.8])
def test_a_training_on_a_disk_that_fills_up_says_so_and_goes_on(tmp_path, capsys, share):
    """Files may have a share of the bytes of the largest that an undisturbed training leaves."""
    star = small_set(tmp_path, count=40, box=16)
    words = ["--recipe", "paper", "--decoder.n_bases", "1", "--z_dim", "1", "--encoder.width", "16"]
    words += ["--training.epochs", "2"]
    whole, full = tmp_path / "whole", tmp_path / "full"
    assert cli.main(["train", str(star), "--out", str(whole), *words]) == cli.DONE
    largest = max(file.stat().st_size for file in whole.rglob("*") if file.is_file())
    capsys.readouterr()
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(share * largest), before[1]))
    try:
        code = cli.main(["train", str(star), "--out", str(full), *words])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert code == cli.USER_ERROR and capsys.readouterr().err.count("there is no space to write it") == 1
    assert not list(full.rglob(".*"))
    assert cli.main(["train", str(star), "--out", str(full), *words, "--resume"]) == cli.DONE
    for name in ("latents.npz", "model.pt"):
        assert (full / name).read_bytes() == (whole / name).read_bytes()


def test_the_status_is_kept_where_there_is_no_room_for_a_second_file(run, monkeypatch):
    def no_room(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DataError, match="no space for model"), run.working():
        monkeypatch.setattr(os, "replace", no_room)
        raise DataError("no space for model.pt")
    assert run.status == "failed" and run.message == "no space for model.pt"


def test_no_flipped_byte_of_a_checkpoint_goes_unnoticed(run):
    save_checkpoint(run, TrainingState(epoch=1), {"weight": torch.arange(1000.0)}, [])
    file = run.checkpoint_file(1)
    content = file.read_bytes()
    for place in np.random.default_rng(0).integers(len(content), size=60):
        file.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        try:
            _, model, _ = load_checkpoint(file, torch.device("cpu"))
        except DataError as error:
            assert "cannot be read as a checkpoint; remove it" in str(error)
        else:
            torch.testing.assert_close(model["weight"], torch.arange(1000.0), rtol=0, atol=0)


def test_tensors_larger_than_their_file_are_refused(tmp_path):
    save_torch(tmp_path / "a.pt", {"large": torch.zeros(1).expand(10**10)})
    with pytest.raises(ValueError, match="larger than the file"):
        load_torch(tmp_path / "a.pt")


def test_equal_contents_are_equal_files(tmp_path):
    for name in ("a", "b"):
        save_torch(tmp_path / f"{name}.pt", {"weight": torch.arange(5.0)})
        time.sleep(0.01)
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


def test_that_a_recipe_has_no_epochs_is_said(tmp_path, capsys):
    star = small_set(tmp_path, count=40, box=16)
    settings = recipe_config("homogeneous", {"particles": str(star)})
    command = ["train", str(star), "--out", str(tmp_path / "run"), "--recipe", "homogeneous", "--until-epoch", "1"]
    assert settings.z_dim == 0 and cli.main(command) == cli.DONE
    assert "no epochs to pause after" in (tmp_path / "run" / "run.log").read_text()
