"""Several processes at one training, real ones over gloo: what one alone finds; one lost; one told to stop."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.cli.several_processes import PROCESSES, processes_asked
from cryodrgn_plugin.engine.data.step_draws import StepDraws
from cryodrgn_plugin.engine.decoders.restore import load_decoder
from cryodrgn_plugin.engine.errors import ConfigError
from cryodrgn_plugin.engine.geometry.rotations import angular_distance_deg, matrices_from_euler
from cryodrgn_plugin.engine.io.particles import read_particles
from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.engine.ranks import LOST, Ranks
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import tiny_set
from cryodrgn_plugin.engine.slicing.place import pick_device

from .processes import ENGINE, started
from .tilt_sets import tilt_series

SETTINGS = {"z_dim": 2, "closed_form.iterations": 4, "closed_form.n_components": 2, "closed_form.nodes": 8}


@pytest.fixture(scope="module")
def star(tmp_path_factory) -> Path:
    """Of three batches, so that two processes have different numbers of them."""
    return tiny_set(tmp_path_factory.mktemp("particles"), n=600, box=24, seed=2)


def command(star: Path, out: Path, *more: str) -> list[str]:
    settings = [text for name, value in SETTINGS.items() for text in (f"--{name}", str(value))]
    return ["train", str(star), "--out", str(out), *settings, *more]


def wait_for_step(run: Path, step: int, processes: list[subprocess.Popen]) -> None:
    """Until the checkpoint of a step is there."""
    until = time.monotonic() + 60
    while not (run / "checkpoints" / f"epoch_{step:03d}.pt").exists():
        assert time.monotonic() < until and all(each.poll() is None for each in processes), processes[0].stderr.read()
        time.sleep(0.02)


@pytest.fixture(scope="module")
def alone(star, tmp_path_factory) -> Run:
    out = tmp_path_factory.mktemp("alone") / "run"
    assert main(command(star, out)) == 0
    return Run.open(out)


def assert_same(run: Run, alone: Run) -> None:
    """To rounding in other orders, on the scale of the coordinates and of the maps."""
    ours, theirs = run.latents(), alone.latents()
    assert np.abs(ours.z - theirs.z).max() < 1e-4 * theirs.z.std()
    maps = [load_decoder(each).volume(theirs.z[0]) for each in (run, alone)]
    assert np.abs(maps[0] - maps[1]).max() < 1e-5 * np.abs(maps[1]).max()


@pytest.mark.slow
def test_two_processes_find_what_one_finds(star, alone, tmp_path):
    out = tmp_path / "run"
    result = subprocess.run(
        [sys.executable, *ENGINE, *command(star, out)],  # which is torchrun's work then
        env={**os.environ, PROCESSES: "2", "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("step 1/") == 1  # one of them speaks
    assert_same(Run.open(out), alone)


@pytest.mark.slow
def test_a_lost_process_ends_the_others_in_a_sentence_and_the_run_goes_on_with_one(star, alone, tmp_path):
    out = tmp_path / "run"
    processes = started(command(star, out), 2)
    wait_for_step(out, 2, processes)
    processes[1].kill()
    said = [each.communicate(timeout=60)[1] for each in processes]
    assert [each.returncode for each in processes] == [2, -signal.SIGKILL]
    assert LOST in said[0] and "Traceback" not in said[0]
    run = Run.open(out)
    assert run.status == "failed" and run.message == LOST
    assert main(command(star, out, "--resume")) == 0
    assert_same(Run.open(out), alone)


@pytest.mark.slow
def test_one_told_to_stop_stops_all_and_more_of_them_resume(star, alone, tmp_path):
    out = tmp_path / "run"
    processes = started(command(star, out), 2)
    wait_for_step(out, 2, processes)
    processes[1].terminate()
    for each in processes:
        each.communicate(timeout=60)
    assert [each.returncode for each in processes] == [3, 3] and Run.open(out).status == "stopped"
    processes = started(command(star, out, "--resume"), 3)
    said = [each.communicate(timeout=90)[1] for each in processes]
    assert [each.returncode for each in processes] == [0, 0, 0], said
    assert_same(Run.open(out), alone)


SMALL = {"decoder.width": 32, "decoder.layers": 2, "encoder.width": 32, "encoder.layers": 2, "training.epochs": 2}
NETWORKS = {
    "paper": {
        "decoder.n_bases": 2,
        "training.batch_size": 47,
        "training.sparse": True,
        "encoder.kind": "table",
    },
    "cryodrgn": {"training.batch_size": 31},
}
"""Of 600 and 570 particles: two processes share no batch evenly. The tables and volumes of the first have gradients of
few rows, the second holds particles out."""
EXPLORING = {
    **{"poses.volumes": 3, "poses.exploration": 20, "poses.schedule": "search:4"},
    **{"poses.search_every": 1, "poses.block": 16},
}
"""Poses are drawn while the frequency limit grows."""
FEW_ROUNDS = "--z_dim 0 --ab_initio.starts 1 --ab_initio.rounds 3 --ab_initio.refinements 1".split()
FEW_ROUNDS += "--ab_initio.most_climbs 1 --poses.spacing_deg 30".split()
ALL_OF_THEM = """
import json, os, sys
from cryodrgn_plugin.engine.cli.main import main
for number, arguments in enumerate(json.loads(sys.argv[1])):
    os.environ["MASTER_PORT"] = str(int(os.environ["MASTER_PORT"]) + number)
    code = main(arguments)
    assert code == (3 if "--until-epoch" in arguments else 0), arguments
"""


def network_command(star: Path, out: Path, name: str) -> list[str]:
    settings = {"recipe": name, "z_dim": 2, "training.precision": "float32", **SMALL, **NETWORKS[name]}
    options = [text for name, value in settings.items() for text in (f"--{name}", str(value))]
    return ["train", str(star), "--out", str(out), *options]


def finding_poses(star: Path, tilts: Path, out: Path) -> dict[str, list[str]]:
    """Poses searched for on the way of a training, of tilt series too, read off images, and made better."""
    searched = {**SMALL, "poses.schedule": "search:2", "poses.block": 62}
    trainings = {
        "bnb": (star, {**searched, "training.batch_size": 31}),
        "cryodrgn2": (tilts, {**searched, "poses.spacing_deg": 30, "training.batch_size": 16}),
        "exploring": (star, {**searched, **EXPLORING, "poses.spacing_deg": 30, "training.batch_size": 16}),
        "ace": (
            star,
            {
                **{"decoder.width": 16, "decoder.layers": 1, "encoder.width": 32, "amortized.trunk_width": 8},
                **{"training.epochs": 1, "training.batch_size": 19, "training.learning_rate": 1e-6},
                **{"amortized.images_from": 10, "amortized.latent_from": 30, "amortized.warmup_images": 50},
                **{"amortized.search": 1},
            },
        ),
    }
    shared = {"z_dim": 2, "training.precision": "float32", "poses.first_radius": 4, "poses.last_radius": 7}
    commands = {}
    for recipe, (particles, settings) in trainings.items():
        options = [f"--{name}={value}" for name, value in {"poses.levels": 2, **shared, **settings}.items()]
        chosen = ["--recipe", "cryodrgn2" if recipe == "exploring" else recipe]
        commands[recipe] = ["abinitio", str(particles), "--out", str(out / recipe), *chosen, *options]
    refined = ["refine-poses", str(star), "--out", str(out / "refined"), "--rounds", "1", "--max-angle-deg", "5"]
    return {**commands, "refined": refined}


def ragged_series(folder: Path) -> Path:
    """Three particles of a tomogram with four, three and four images."""
    place = folder / "tilts"
    place.mkdir()
    _, path = tilt_series(place, True, away_ang=3.0)
    tables = read_star(place / "p.star")
    seen = ["[1,0,1,1,1]", "[1,0,1,0,1]", "[1,0,1,1,1]"]
    write_star(place / "p.star", {**tables, "particles": tables["particles"].assign(rlnTomoVisibleFrames=seen)})
    return path


@pytest.fixture(scope="module")
def both(star, tmp_path_factory) -> Path:
    """Folders 1 and 2, of what one process and two have made by the same commands."""
    folder = tmp_path_factory.mktemp("both")
    small, tilts = tiny_set(folder / "set", n=60, box=16, seed=2), ragged_series(folder)
    commands = {}
    for each in "12":
        trainings = {name: network_command(star, folder / each / name, name) for name in NETWORKS}
        others = {
            "stored": command(star, folder / each / "stored", "--data.cache_mb", "0"),
            "map": ["train", str(star), "--out", str(folder / each / "map"), "--recipe", "homogeneous"],
            "found": ["abinitio", str(star), "--out", str(folder / each / "found"), *FEW_ROUNDS],
        }
        commands[each] = {**trainings, **others, **finding_poses(small, tilts, folder / each)}
    resumed = [*commands["2"]["cryodrgn"], "--resume"]
    commands["2"]["cryodrgn"] += ["--until-epoch", "1"]
    processes = started([json.dumps(list(commands["2"].values()))], 2, ["-c", ALL_OF_THEM])
    for arguments in commands["1"].values():
        assert main(arguments) == 0
    said = [each.communicate(timeout=120)[1] for each in processes]
    assert [each.returncode for each in processes] == [0, 0], said
    assert main(resumed) == 0
    return folder


def assert_like_trainings(folder: Path, name: str) -> None:
    """Losses and coordinates."""
    one, two = (Run.open(folder / each / name) for each in "12")
    for ours, theirs in zip(two.metrics(), one.metrics(), strict=True):
        figures = {key: value for key, value in theirs.items() if key != "seconds"}
        assert {key: ours[key] for key in figures} == pytest.approx(figures, rel=1e-5), name
    z = one.latents().z
    assert np.abs(two.latents().z - z).max() < 1e-4 * z.std(), name


@pytest.mark.slow
def test_two_processes_make_what_one_makes_by_other_recipes_and_one_goes_on(both):
    for name in NETWORKS:
        assert_like_trainings(both, name)
    stored = [Run.open(both / each / "stored") for each in "12"]
    assert all("Preparing 600 images" in run.log_file.read_text() for run in stored)
    assert not any(run.image_store_dir.exists() for run in stored)
    assert_same(stored[1], stored[0])
    one, two = (load_decoder(Run.open(both / each / "map")).volume(None) for each in "12")
    assert np.abs(two - one).max() < 1e-5 * np.abs(one).max()
    one, two = ([row["score"] for row in Run.open(both / each / "found").metrics()] for each in "12")
    # Of two poses that are as likely, rounding chooses; by the end a few images have met that.
    assert two[:3] == pytest.approx(one[:3], rel=1e-5) and two == pytest.approx(one, rel=2e-3)


@pytest.mark.slow
def test_two_processes_find_the_poses_that_one_finds(both):
    for name in ("bnb", "cryodrgn2", "exploring", "ace"):
        assert_like_trainings(both, name)
        assert apart_deg(*(Run.open(both / each / name).poses_file for each in "12")).max() < 1e-3, name
    # A step uphill or not is decided by rounding now and then; most are no question.
    apart = apart_deg(*(both / each / "refined" / "poses.star" for each in "12"))
    assert np.percentile(apart, 75) < 1e-4 and apart.max() < 5


def apart_deg(a: Path, b: Path) -> np.ndarray:
    """(N,) angles between the rotations of two star files."""
    return angular_distance_deg(*(matrices_from_euler(read_particles(each).euler_deg) for each in (a, b)))


@pytest.mark.slow
def test_a_refinement_that_lost_a_process_goes_on_with_one(star, tmp_path):
    words = ["refine-poses", str(star), "--rounds", "2", "--data.max_particles", "200", "--out", str(tmp_path)]
    processes = started(words, 2)
    until = time.monotonic() + 60
    while not (tmp_path / "refinement.npz").exists():
        assert time.monotonic() < until and all(each.poll() is None for each in processes), processes[0].stderr.read()
        time.sleep(0.02)
    processes[1].kill()
    said = [each.communicate(timeout=60)[1] for each in processes]
    assert [each.returncode for each in processes] == [2, -signal.SIGKILL] and LOST in said[0]
    assert main([*words, "--resume"]) == 0
    assert [each["number"] for each in json.loads((tmp_path / "refinement.json").read_text())["rounds"]] == [1, 2]


def test_what_one_process_does_is_left_to_the_first(star, tmp_path, monkeypatch, capsys):
    reconstruct = ["reconstruct", str(star), "--out"]
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert main([*reconstruct, str(tmp_path / "second")]) == 0 and not (tmp_path / "second").exists()
    monkeypatch.setenv("RANK", "0")
    assert main([*reconstruct, str(tmp_path / "first")]) == 0 and (tmp_path / "first" / "map.mrc").exists()
    assert "torchrun has started 2 processes, and one does `reconstruct`" in capsys.readouterr().err
    assert os.environ["WORLD_SIZE"] == "1"  # for what it starts itself


@pytest.mark.parametrize(("n", "count"), [(3, 2), (1, 4), (0, 2), (100, 7)])
def test_shares_are_all_of_it_and_alike(n, count):
    shares = [Ranks(own, count).share(n) for own in range(count)]
    assert [number for share in shares for number in share] == list(range(n))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_random_numbers_of_some_particles_are_rows_of_those_of_all():
    def drawn(own: range, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        draws = StepDraws(torch.Generator().manual_seed(5), own, 30)
        return draws.normal((rows, 3)), draws.uniform((2 * rows, 1))  # two images of each particle

    normal, uniform = drawn(range(30), 30)
    for own in (range(13), range(13, 30)):
        found = drawn(own, len(own))
        assert torch.equal(found[0], normal[own.start : own.stop])
        assert torch.equal(found[1], uniform[2 * own.start : 2 * own.stop])


def test_rows_in_blocks_have_the_particles_of_a_process_in_each():
    whole, part = (
        StepDraws(torch.Generator().manual_seed(5), own, 30, blocks=2).normal((2 * len(own), 3))
        for own in (range(30), range(13, 30))
    )
    assert torch.equal(part, torch.cat([whole[13:30], whole[43:60]]))


def test_rows_of_images_are_those_of_particles_with_different_numbers_of_them():
    whole, part = (
        StepDraws(torch.Generator().manual_seed(5), own, 3, images=(images, 11)).normal((len(images), 2))
        for own, images in ((range(3), range(11)), (range(1, 3), range(4, 11)))
    )
    assert torch.equal(part, whole[4:])


def test_the_environment_may_ask_for_processes(star, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv(PROCESSES, raising=False)
    assert processes_asked() == 1
    monkeypatch.setenv(PROCESSES, "gpu")
    assert processes_asked() == torch.cuda.device_count()
    monkeypatch.setenv(PROCESSES, "4")
    assert processes_asked() == 4
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert processes_asked() == 1
    monkeypatch.delenv("WORLD_SIZE")
    monkeypatch.setenv(PROCESSES, "many")
    assert main(["train", str(star), "--out", str(tmp_path / "run")]) == 2
    assert "CRYODRGN_PLUGIN_PROCESSES is 'many'; give a number of processes" in capsys.readouterr().err


def test_processes_that_name_one_gpu_are_told_to_take_one_each(monkeypatch):
    monkeypatch.setattr(Ranks, "present", lambda: Ranks(1, 4))
    with pytest.raises(ConfigError, match="and 4 processes share the work; with cuda or auto each takes"):
        pick_device("cuda:0")


def test_alone_nothing_is_exchanged():
    sums = torch.ones(3)
    Ranks().total(sums)
    Ranks().require_same(float("nan"))
    assert Ranks().gathered(sums) is sums and sums.tolist() == [1, 1, 1]
    assert Ranks().any(True) and not Ranks().any(False)
