"""`fsc`: maps of any grid, orientation and origin are compared, and what cannot be is named in one sentence."""

import json

import numpy as np
import pytest
from scipy import ndimage

from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.io.mrc import write_map
from cryodrgn_plugin.engine.reconstruction.fsc import fsc
from cryodrgn_plugin.engine.simulate.map_motions import cropped_map
from cryodrgn_plugin.engine.simulate.tiny import lopsided_map

BOX, PIXEL_ANG = 32, 3.0


@pytest.fixture
def maps(tmp_path):
    """A map and another with noise of its own, as files; and the arrays."""
    rng = np.random.default_rng(0)
    one = lopsided_map(BOX)
    other = (one + 0.2 * rng.standard_normal(one.shape)).astype(np.float32)
    paths = [str(tmp_path / name) for name in ("one.mrc", "other.mrc")]
    for path, volume in zip(paths, (one, other), strict=True):
        write_map(path, volume, PIXEL_ANG)
    return paths, (one, other)


def curve_of(tmp_path, *words: str) -> dict:
    out = tmp_path / "curve.json"
    assert main(["fsc", *words, "--out", str(out)]) == 0
    return json.loads(out.read_text())


def test_the_curve_is_that_of_the_maps_and_the_resolution_where_it_falls(maps, tmp_path, capsys):
    paths, volumes = maps
    report = curve_of(tmp_path, *paths)
    np.testing.assert_allclose(report["fsc"], fsc(*volumes), atol=1e-6)
    assert f"FSC 0.5   at {report['resolution_ang']['0.5']:.2f} Å" in capsys.readouterr().out


def test_a_mask_takes_the_noise_outside_away(maps, tmp_path):
    paths, _ = maps
    whole, masked = (curve_of(tmp_path, *paths, *mask)["area"] for mask in ((), ("--mask", "auto")))
    assert masked > whole + 0.05


def test_what_the_mask_correlates_in_half_maps_is_taken_off(tmp_path):
    rng = np.random.default_rng(1)
    for name in ("half1", "half2"):
        write_map(tmp_path / f"{name}.mrc", rng.standard_normal((BOX,) * 3).astype(np.float32), PIXEL_ANG)
    ball = np.zeros((BOX,) * 3, np.float32)
    ball[13:19, 13:19, 13:19] = 1
    write_map(tmp_path / "mask.mrc", ball, PIXEL_ANG)
    halves = [str(tmp_path / f"{name}.mrc") for name in ("half1", "half2")]
    report = curve_of(tmp_path, *halves, "--half-maps", "--mask", str(tmp_path / "mask.mrc"))
    assert abs(report["area"]) < 0.1


def test_the_finer_of_two_grids_is_cropped(maps, tmp_path):
    paths, (one, _) = maps
    fine = tmp_path / "fine.mrc"
    twice = np.fft.fftshift(np.fft.fftn(one))
    padded = np.pad(twice, BOX // 2)
    # Both partners of the coefficients on the Nyquist planes are not there to be padded: they are left out.
    padded[: BOX // 2 + 1] = padded[:, : BOX // 2 + 1] = padded[:, :, : BOX // 2 + 1] = 0
    write_map(fine, (8 * np.fft.ifftn(np.fft.ifftshift(padded)).real).astype(np.float32), PIXEL_ANG / 2)
    report = curve_of(tmp_path, str(fine), paths[0])
    assert report["box"] == BOX and report["pixel_size_ang"] == pytest.approx(PIXEL_ANG)
    np.testing.assert_allclose(report["fsc"][1:14], 1, atol=1e-3)
    assert cropped_map(one, BOX, "").shape == (BOX,) * 3


def test_a_turned_map_agrees_only_once_it_is_aligned(maps, tmp_path):
    paths, (one, _) = maps
    turned = ndimage.rotate(one, 40, axes=(1, 2), reshape=False, order=3)
    write_map(tmp_path / "turned.mrc", turned.astype(np.float32), PIXEL_ANG)
    as_they_are, aligned = (
        curve_of(tmp_path, str(tmp_path / "turned.mrc"), paths[0], *words)["area"] for words in ((), ("--align",))
    )
    assert aligned > as_they_are + 0.2


def test_the_figure_is_drawn(maps, tmp_path):
    curve_of(tmp_path, *maps[0], "--figure", str(tmp_path / "curve.png"))
    assert (tmp_path / "curve.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--half-maps"], "give one with --mask"),
        (["--one-hand"], "part of aligning"),
        (["--mask", "none.mrc"], "no mask none.mrc"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(maps, words, message, capsys):
    assert main(["fsc", *maps[0], *words]) == 2
    assert message in capsys.readouterr().err


def test_maps_of_different_extent_are_refused(maps, tmp_path, capsys):
    write_map(tmp_path / "wide.mrc", lopsided_map(BOX), 2 * PIXEL_ANG)
    assert main(["fsc", maps[0][0], str(tmp_path / "wide.mrc")]) == 2
    assert "same extent" in capsys.readouterr().err
