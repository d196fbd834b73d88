"""The reconstruct command: its files, its resolution against RELION's post-processing, its refusals."""

import csv
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from cryodrgn_plugin.engine.analysis.reconstruction_files import HALF_NAMES
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.io.mrc import read_map, write_map
from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.engine.reconstruction.fsc import fsc
from cryodrgn_plugin.engine.simulate.config import SimulationConfig
from cryodrgn_plugin.engine.simulate.tiny import tiny_set

BOX, PIXEL_ANG = 48, 2.3


@pytest.fixture(scope="module")
def star(tmp_path_factory):
    """1,000 noisy particles of one state."""
    config = SimulationConfig(snr=0.05, shift_px=2.0, pixel_size_ang=PIXEL_ANG)
    return tiny_set(tmp_path_factory.mktemp("one_state"), n=1000, box=BOX, states=1, config=config)


@pytest.fixture(scope="module")
def folder(star):
    out = star.parent / "rec"
    assert main(["reconstruct", str(star), "--out", str(out)]) == 0
    return out


def columns(path):
    with open(path) as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def test_everything_is_written_with_the_pixel_size(folder):
    summary = json.loads((folder / "reconstruction.json").read_text())
    assert summary["particles"] == 1000 and summary["box"] == BOX
    for name in summary["files"].values():
        assert (folder / name).stat().st_size > 0
    for role in ("map", "half1", "half2", "mask"):
        volume, pixel_size = read_map(folder / summary["files"][role])
        assert volume.shape == (BOX,) * 3 and pixel_size == pytest.approx(PIXEL_ANG)
    assert 2 * PIXEL_ANG <= summary["resolution_ang"]["0.143"] <= summary["resolution_ang"]["0.5"] < 12


def test_the_map_is_the_particle(star, folder):
    truth, _ = read_map(next((star.parent / "maps").glob("*.mrc")))
    volume, _ = read_map(folder / "map.mrc")
    assert fsc(volume, truth)[1:10].min() > 0.85


@pytest.mark.skipif(shutil.which("relion_postprocess") is None, reason="relion_postprocess is not installed")
def test_relion_postprocess_takes_the_half_maps_and_finds_the_same_resolution(folder):
    (folder / "pp").mkdir()
    arguments = f"--i {HALF_NAMES[0]} --mask mask.mrc --angpix {PIXEL_ANG} --o pp/postprocess --skip_fsc_weighting"
    result = subprocess.run(
        ["relion_postprocess", *arguments.split()], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    written = folder / "pp" / "postprocess.star"
    assert written.exists(), result.stdout + result.stderr
    blocks = read_star(written)
    theirs, ours = blocks["fsc"], columns(folder / "fsc.csv")
    # RELION counts the plane kx = 0 twice as often as the rest of the half-space, and draws other random phases.
    for name, column, tolerance in (
        ("unmasked", "rlnFourierShellCorrelationUnmaskedMaps", 0.02),
        ("masked", "rlnFourierShellCorrelationMaskedMaps", 0.02),
        ("corrected", "rlnFourierShellCorrelationCorrected", 0.06),
    ):
        np.testing.assert_allclose(ours[name][1:], theirs[column].to_numpy(float)[1:], atol=tolerance, err_msg=name)
    final = float(np.ravel(blocks["general"]["rlnFinalResolution"])[0])
    resolution = json.loads((folder / "reconstruction.json").read_text())["resolution_ang"]["0.143"]
    shell = BOX * PIXEL_ANG / resolution
    assert abs(BOX * PIXEL_ANG / final - shell) <= 1.5


def test_halves_follow_the_star_file_unless_told_otherwise(star, tmp_path, capsys):
    blocks = read_star(star)
    blocks["particles"]["rlnRandomSubset"] = np.arange(1000) % 2 + 1
    blocks["particles"]["rlnImageName"] = [
        name.replace("@", f"@{star.parent}/") for name in blocks["particles"]["rlnImageName"]
    ]
    write_star(tmp_path / "split.star", blocks)
    options = ["--data.box", "24", "--data.max_particles", "300"]
    for choice, found in (("auto", "rlnRandomSubset"), ("random", "random")):
        out = tmp_path / choice
        assert main(["reconstruct", str(tmp_path / "split.star"), "--out", str(out), "--halves", choice, *options]) == 0
        assert f"halves: {found}" in capsys.readouterr().out
        assert json.loads((out / "reconstruction.json").read_text())["box"] == 24


def test_a_given_mask_is_used_and_a_misfit_refused(star, tmp_path, capsys):
    mask = np.zeros((BOX,) * 3, np.float32)
    mask[12:36, 12:36, 12:36] = 1
    write_map(tmp_path / "mask.mrc", mask, PIXEL_ANG)
    base = ["reconstruct", str(star), "--data.max_particles", "200"]
    assert main([*base, "--out", str(tmp_path / "rec"), "--mask", str(tmp_path / "mask.mrc")]) == 0
    np.testing.assert_array_equal(read_map(tmp_path / "rec" / "mask.mrc")[0], mask)
    write_map(tmp_path / "small.mrc", mask[:24, :24, :24], PIXEL_ANG)
    capsys.readouterr()
    assert main([*base, "--out", str(tmp_path / "no"), "--mask", str(tmp_path / "small.mrc")]) == 2
    assert "the mask has 24 × 24 × 24 voxels and the map 48" in capsys.readouterr().err
    write_map(tmp_path / "negative.mrc", mask - 0.5, PIXEL_ANG)
    assert main([*base, "--out", str(tmp_path / "no"), "--mask", str(tmp_path / "negative.mrc")]) == 2
    assert "a mask has values from 0 to 1" in capsys.readouterr().err


def test_particles_without_poses_are_refused(star, tmp_path, capsys):
    blocks = read_star(star)
    blocks["particles"] = blocks["particles"].drop(columns=["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"])
    write_star(tmp_path / "poseless.star", blocks)
    poseless, out = str(tmp_path / "poseless.star"), str(tmp_path / "rec")
    assert main(["reconstruct", poseless, "--root", str(star.parent), "--out", out]) == 2
    assert "no poses" in capsys.readouterr().err


def test_the_help_imports_neither_torch_nor_numba():
    code = """
import sys
from cryodrgn_plugin.engine.cli import reconstruct_command
print(sorted({"torch", "numba", "matplotlib"} & set(sys.modules)))
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
