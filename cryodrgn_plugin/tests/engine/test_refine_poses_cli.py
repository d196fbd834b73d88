"""`refine-poses`: a star file or a run in; particles with better poses, a map and the figures of each round out."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.ab_initio.refinement import Refinement
from cryodrgn_plugin.engine.ab_initio.refinement_checkpoint import load_refinement, save_refinement
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.geometry.rotations import angular_distance_deg, matrices_from_euler
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.io.particles import read_particles
from cryodrgn_plugin.engine.poses.refine import RefinedPoses
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate.config import SimulationConfig
from cryodrgn_plugin.engine.simulate.tiny import tiny_set

pytestmark = pytest.mark.slow

N, BOX = 300, 32


@pytest.fixture(scope="module")
def star(tmp_path_factory):
    config = SimulationConfig(snr=2.0, shift_px=1.0, pixel_size_ang=3.5)
    return tiny_set(tmp_path_factory.mktemp("set"), N, BOX, seed=3, states=1, config=config)


@pytest.fixture(scope="module")
def wrong(star, tmp_path_factory) -> Run:
    """A run that has found 200 of the poses, all of them 4° off about the view's axis, as two species with latents."""
    folder = tmp_path_factory.mktemp("run")
    settings = {"particles": str(star), "z_dim": 1, "ab_initio.species": 2, "data.max_particles": 200}
    run = Run.create(folder, recipe_config("abinitio", settings))
    dataset = ParticleDataset.open(star, run.config.data, seed=run.config.seed)
    off = Rotation.from_rotvec(np.outer(np.resize([1.0, -1.0], 200), [0, 0, np.radians(4)])).as_matrix()
    with run.working():
        run.save_latents(np.linspace(-1, 1, 200)[:, None], rows=dataset.rows)
        run.save_poses(dataset.rows, off @ dataset.rotations, dataset.shifts_ang, species=np.arange(200) % 2)
    return run


def test_a_star_file_gives_particles_a_map_and_figures(star, tmp_path, capsys):
    words = ["--rounds", "2", "--max-angle-deg", "5", "--data.window", "0.9"]
    assert main(["refine-poses", str(star), "--out", str(tmp_path / "out"), *words]) == 0
    before, after = read_particles(star), read_particles(tmp_path / "out" / "poses.star")
    turned = angular_distance_deg(matrices_from_euler(before.euler_deg), matrices_from_euler(after.euler_deg))
    assert 0 < turned.max() <= 5.001
    same = [name for name in before.frame if not name.startswith(("rlnAngle", "rlnOrigin"))]
    assert after.frame[same].equals(before.frame[same])
    assert np.isfinite(after.frame["rlnLogLikeliContribution"]).all()
    assert read_map(tmp_path / "out" / "map.mrc")[0].shape == (BOX,) * 3
    summary = json.loads((tmp_path / "out" / "refinement.json").read_text())
    assert [each["number"] for each in summary["rounds"]] == [1, 2] and summary["options"]["max_angle_deg"] == 5
    assert f"{summary['resolution_ang']['after']:.2f} Å after" in capsys.readouterr().out


def test_the_poses_of_a_run_are_what_is_refined(star, wrong, tmp_path):
    assert main(["refine-poses", str(wrong.path), "--out", str(tmp_path), "--rounds", "2"]) == 0
    found, truth = read_particles(tmp_path / "poses.star"), read_particles(star)
    rows = found.frame["cryodrgnStarRow"].to_numpy()
    assert len(rows) == 200 and found.frame["rlnImageName"].equals(
        truth.frame["rlnImageName"][rows].reset_index(drop=True)
    )
    # Half of the images were turned by +4° in their plane, half by −4°; that is what must have gone.
    found_rotations, true_rotations = (matrices_from_euler(each.euler_deg) for each in (found, truth))
    off = Rotation.from_matrix(found_rotations @ np.swapaxes(true_rotations[rows], 1, 2)).as_rotvec(degrees=True)
    assert np.median(np.abs(off[:, 2])) < 2
    classes = wrong.particles().frame["rlnClassNumber"].to_numpy()[rows]
    assert (found.frame["rlnClassNumber"].to_numpy() == classes).all() and set(classes) == {1, 2}


def test_maps_may_be_finer_than_the_runs(wrong, tmp_path):
    words = ["--rounds", "1", "--data.box", "24", "--data.max_particles", "300"]
    assert main(["refine-poses", str(wrong.path), "--out", str(tmp_path), *words]) == 0
    assert read_map(tmp_path / "map.mrc")[0].shape == (24, 24, 24)
    assert len(read_particles(tmp_path / "poses.star").frame) == 200


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["absent.star"], "there is no such file"),
        (["."], "is not a run folder"),
        (["p.star", "--max-angle-deg", "90"], "max_angle_deg is 90.0; it must be positive and at most 45"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, monkeypatch, capsys, words, sentence):
    monkeypatch.chdir(tmp_path)
    assert main(["refine-poses", *words, "--out", "out"]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1 and not (tmp_path / "out").exists()


def test_particles_without_poses_are_sent_to_where_they_are_found(star, tmp_path, capsys):
    from cryodrgn_plugin.engine.io.star import read_star, write_star

    tables = read_star(star)
    bare = tables["particles"].drop(columns=["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"])
    write_star(star.parent / "bare.star", {**tables, "particles": bare})
    assert main(["refine-poses", str(star.parent / "bare.star"), "--out", str(tmp_path / "out")]) == 2
    assert "have no poses" in capsys.readouterr().err


def test_a_killed_refinement_resumes_bit_for_bit(star, tmp_path, capsys):
    words = ["refine-poses", str(star), "--rounds", "3", "--data.max_particles", "150", "--out"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert main([*words, str(whole)]) == 0
    command = [sys.executable, "-m", "cryodrgn_plugin.engine.cli", *words, str(killed)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not (killed / "refinement.npz").exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert not (killed / "poses.star").exists()
    assert main([*words, str(killed), "--resume", "--max-angle-deg", "5"]) == 2
    assert "was begun with max_angle_deg = 8.0, not 5.0" in capsys.readouterr().err
    fewer = [word for word in words if word not in ("--data.max_particles", "150")]
    assert main([*fewer, str(killed), "--data.box", "24", "--resume"]) == 2
    kept = (killed / "refinement.npz").read_bytes()
    for damaged in (b"", kept[: len(kept) // 2]):
        (killed / "refinement.npz").write_bytes(damaged)
        assert main([*words, str(killed), "--resume"]) == 2
        assert "cannot be read as a checkpoint" in capsys.readouterr().err
    (killed / "refinement.npz").write_bytes(kept)
    assert main([*words, str(killed), "--resume"]) == 0
    assert (killed / "poses.star").read_bytes() == (whole / "poses.star").read_bytes()
    assert not (killed / "refinement.npz").exists()


def test_a_setting_that_is_left_out_on_resuming_is_noticed(tmp_path):
    poses = RefinedPoses(np.eye(3)[None], np.zeros((1, 2)), np.zeros(1), np.zeros(1))
    file = tmp_path / "refinement.npz"
    save_refinement(file, {"rounds": 4, "data.box": "24"}, Refinement(poses, ()))
    assert np.array_equal(load_refinement(file, {"data.box": "24", "rounds": 4}).poses.rotations, poses.rotations)
    with pytest.raises(DataError, match=r"begun with data\.box = '24', not None"):
        load_refinement(file, {"rounds": 4})
