"""`align` on files: what it prints and writes is what was planted; what it cannot compare, it names."""

import json

import numpy as np
import pytest

from cryodrgn_plugin.engine.analysis.known_poses import in_common, read_poses
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.geometry.hand import mirrored_map, mirrored_rotations
from cryodrgn_plugin.engine.geometry.rotations import euler_from_matrices, matrices_from_euler, random_matrices
from cryodrgn_plugin.engine.io.mrc import read_map, write_map
from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.engine.simulate import tiny_set

ANGLES = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]
ORIGINS = ["rlnOriginXAngst", "rlnOriginYAngst"]
ORIGIN_ANG = np.array([3.0, -5.0, 1.0])


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return tiny_set(tmp_path_factory.mktemp("set"), n=60, box=24, states=2).parent


@pytest.fixture
def found_star(simulated, tmp_path):
    """The set's poses in another frame and the other hand, with another origin, rows reversed, folders renamed."""
    tables = read_star(simulated / "particles.star")
    particles = tables["particles"]
    rotations = matrices_from_euler(particles[ANGLES].to_numpy())
    frame = random_matrices(1, np.random.default_rng(2))[0]
    particles[ANGLES] = euler_from_matrices(mirrored_rotations(rotations @ frame.T))
    particles[ORIGINS] -= rotations[:, :2] @ ORIGIN_ANG
    particles["rlnImageName"] = [name.replace("@", "@Extract/job007/") for name in particles["rlnImageName"]]
    particles["rlnClassNumber"] = 1 + np.arange(60) % 2
    write_star(tmp_path / "found.star", {**tables, "particles": particles[::-1]})
    return tmp_path / "found.star"


def test_poses_of_two_star_files_are_matched_by_image(simulated, found_star, tmp_path, capsys):
    out = tmp_path / "errors.json"
    assert main(["align", str(found_star), str(simulated / "particles.star"), "--out", str(out)]) == 0
    (figures,) = json.loads(out.read_text())["poses"]
    assert figures["particles"] == 60 and figures["other_hand"]
    assert figures["median_angle_deg"] < 0.01 and figures["mean_shift_ang"] < 1e-3
    np.testing.assert_allclose(figures["origin_ang"], ORIGIN_ANG, atol=1e-3)
    shown = capsys.readouterr().out
    assert (
        "within 5°                            100.0%" in shown and "the other hand                       yes" in shown
    )


def test_classes_have_frames_of_their_own(simulated, found_star, tmp_path):
    tables = read_star(found_star)
    particles = tables["particles"]
    second = (particles["rlnClassNumber"] == 2).to_numpy()
    turned = matrices_from_euler(particles[ANGLES].to_numpy()[second]) @ random_matrices(1, np.random.default_rng(8))[0]
    particles.loc[second, ANGLES] = euler_from_matrices(mirrored_rotations(turned))
    write_star(found_star, tables)
    out, star = tmp_path / "errors.json", simulated / "particles.star"
    assert main(["align", str(found_star), str(star), "--per-class", "--out", str(out)]) == 0
    classes = json.loads(out.read_text())["poses"]
    assert [entry["other_hand"] for entry in classes] == [True, False]
    assert all(entry["particles"] == 30 and entry["median_angle_deg"] < 0.01 for entry in classes)


def test_truth_is_matched_by_row(simulated):
    truth, star = read_poses(simulated / "truth.npz"), read_poses(simulated / "particles.star")
    found, true = in_common(star, truth)
    np.testing.assert_allclose(found.rotations, true.rotations, atol=1e-6)
    np.testing.assert_allclose(found.shifts_ang, true.shifts_ang, atol=1e-6)
    with pytest.raises(DataError, match="59 found poses and 60"):
        in_common(star[np.arange(59)], truth)


def test_maps_are_aligned_and_saved(simulated, tmp_path, capsys):
    volume, pixel_ang = read_map(simulated / "maps" / "state_000.mrc")
    write_map(tmp_path / "found.mrc", mirrored_map(np.swapaxes(volume, 0, 1)[:, ::-1]), pixel_ang)
    true, saved, out = simulated / "maps" / "state_000.mrc", tmp_path / "aligned.mrc", tmp_path / "map.json"
    arguments = ["--map", str(tmp_path / "found.mrc"), str(true), "--save", str(saved), "--out", str(out)]
    assert main(["align", *arguments]) == 0
    figures = json.loads(out.read_text())["map"]
    assert figures["other_hand"] and min(figures["fsc"][1:9]) > 0.95
    assert "FSC 0.5 at" in capsys.readouterr().out
    assert np.corrcoef(read_map(saved)[0].ravel(), volume.ravel())[0, 1] > 0.95


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ([], "Give two files of poses"),
        (["a.star"], "Give two files of poses"),
        (["a.star", "b.star", "--save", "c.mrc"], "--save writes an aligned map"),
    ],
)
def test_half_a_comparison_is_refused_in_a_sentence(arguments, sentence, capsys):
    assert main(["align", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_star_files_without_poses_or_of_other_images_are_refused(simulated, tmp_path, capsys):
    tables = read_star(simulated / "particles.star")
    write_star(tmp_path / "bare.star", {**tables, "particles": tables["particles"].drop(columns=ANGLES)})
    assert main(["align", str(tmp_path / "bare.star"), str(simulated / "particles.star")]) == 2
    assert "have no rlnAngleRot" in capsys.readouterr().err
    names = [name.replace("particles.mrcs", "others.mrcs") for name in tables["particles"]["rlnImageName"]]
    tables["particles"]["rlnImageName"] = names
    write_star(tmp_path / "others.star", tables)
    assert main(["align", str(tmp_path / "others.star"), str(simulated / "particles.star")]) == 2
    assert "no image in common" in capsys.readouterr().err


def test_maps_of_different_extent_are_refused(simulated, tmp_path, capsys):
    volume, pixel_ang = read_map(simulated / "maps" / "state_000.mrc")
    write_map(tmp_path / "wide.mrc", volume, 2 * pixel_ang)
    assert main(["align", "--map", str(tmp_path / "wide.mrc"), str(simulated / "maps" / "state_000.mrc")]) == 2
    assert "the same extent" in capsys.readouterr().err
