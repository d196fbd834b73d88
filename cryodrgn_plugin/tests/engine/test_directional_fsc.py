"""Resolution by direction: bad where no image looks, about the same everywhere where views are even."""

import json
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.analysis.direction_plots import draw_sphere
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.reconstruction.directional_fsc import FAR_WORSE, DirectionalFsc, directional_fsc
from cryodrgn_plugin.engine.reconstruction.fsc import fsc_corrected
from cryodrgn_plugin.engine.reconstruction.homogeneous import reconstruct
from cryodrgn_plugin.engine.reconstruction.unseen_difference import unseen_share
from cryodrgn_plugin.engine.reconstruction.view_gaps import view_gaps
from cryodrgn_plugin.engine.states.view_cautions import MUCH_UNSEEN
from cryodrgn_plugin.tests.engine.particle_files import molecule, optics, project, rows, write_set

COUNT, BOX, PIXEL_ANG = 1200, 32, 4.0
NEAR_DEG = 25.0


def seen_within(table, axis, limit_deg, seed=0):
    """The rows with viewing axes even over a cap about `axis`."""
    rng = np.random.default_rng(seed)
    tilt = np.degrees(np.arccos(rng.uniform(np.cos(np.radians(limit_deg)), 1, len(table))))
    angles = np.stack([rng.uniform(-180, 180, len(table)), tilt, rng.uniform(-180, 180, len(table))], axis=1)
    # A = (ZYZ).T; turning the molecule's axis `axis` to z first puts the cap about `axis`.
    turn = Rotation.align_vectors([[0, 0, 1]], [axis])[0].as_matrix()
    views = Rotation.from_euler("ZYZ", angles, degrees=True).as_matrix().transpose(0, 2, 1) @ turn
    angles = Rotation.from_matrix(views.transpose(0, 2, 1)).as_euler("ZYZ", degrees=True)
    return table.assign(**dict(zip(("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"), angles.T, strict=True)))


def particles(folder, table, blobs=None, noise=2.0):
    """Images of a molecule at the views of `table`."""
    folder.mkdir(exist_ok=True)
    images = project(blobs or molecule(34.0, 4.0), table, optics())
    images = images / images.std() + noise * np.random.default_rng(1).normal(size=images.shape)
    return write_set(folder, images.astype(np.float32), table, [optics()])


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """1,200 views within 25° of z."""
    folder = tmp_path_factory.mktemp("narrow") / "set"
    return particles(folder, seen_within(rows(COUNT), (0, 0, 1), NEAR_DEG))


@pytest.fixture(scope="module")
def even(tmp_path_factory):
    return particles(tmp_path_factory.mktemp("even") / "set", rows(COUNT))


def angle_deg(direction, axis):
    return np.degrees(np.arccos(min(abs(float(np.dot(direction, axis))), 1)))


def test_views_along_one_axis_leave_that_axis_unknown(narrow):
    result = reconstruct(ParticleDataset.open(narrow))
    directions = result.directions
    assert result.resolution_ang() < 10  # what the curve of whole shells says
    assert directions.worst_ang > 3 * directions.mean_ang and directions.far_worse
    assert angle_deg(directions.worst_direction, (0, 0, 1)) < 15
    across = np.abs(directions.directions[:, 2]) < 0.3
    assert directions.resolution_ang[across].max() < 10
    # Slices tilted by up to 25° leave a double cone of half-angle 65° less the tolerance of 4°.
    assert directions.views.unseen == pytest.approx(1 - np.cos(np.radians(61)), abs=0.03)
    assert "54% of the directions" in directions.warning and "along one direction" in directions.warning


def test_the_direction_is_that_of_the_molecule_and_not_of_the_image(tmp_path):
    axis = np.array([2.0, -1, 0.5]) / np.linalg.norm([2, -1, 0.5])
    star = particles(tmp_path / "set", seen_within(rows(COUNT), axis, NEAR_DEG))
    assert angle_deg(reconstruct(ParticleDataset.open(star)).directions.worst_direction, axis) < 15


def drawn_by_direction(directions: DirectionalFsc):
    """The axes of the picture of the sphere, and the range of its colours."""
    page = Figure()
    axes = page.subplots()
    draw_sphere(axes, directions)
    return axes, axes.images[0].get_clim()


def test_directions_that_all_reach_the_end_of_the_box_are_told_apart_by_the_fsc_there(even):
    along = reconstruct(ParticleDataset.open(even)).directions.directions
    last = 0.9 - 0.4 * along[:, 2] ** 2
    curves = np.linspace(1, last, BOX // 2).T
    directions = DirectionalFsc(along, np.column_stack([curves, np.zeros(len(along))]), PIXEL_ANG)
    assert directions.ends_everywhere and directions.worst_ang == directions.mean_ang == 2 * PIXEL_ANG
    assert angle_deg(directions.worst_direction, (0, 0, 1)) < 10
    assert directions.sentence == "8.00 Å along every direction, where the box ends"
    axes, colours = drawn_by_direction(directions)
    assert colours == pytest.approx((last.min(), last.max())) and "FSC at 8 Å" in axes.get_title()
    assert any("where the box ends" in text.get_text() for text in axes.texts)


def test_resolutions_are_drawn_where_directions_differ_in_them(narrow):
    directions = reconstruct(ParticleDataset.open(narrow)).directions
    axes, colours = drawn_by_direction(directions)
    assert colours == pytest.approx((1 / directions.worst_ang, 1 / directions.resolution_ang.min()))
    assert axes.get_title() == "resolution by direction" and not directions.ends_everywhere


def test_what_is_called_unknown_is_what_the_truth_disagrees_with(narrow):
    """An independent reference: the FSC of the map with the true one, direction by direction."""
    result = reconstruct(ParticleDataset.open(narrow))
    k = (np.indices((BOX,) * 3) - BOX // 2).reshape(3, -1)[::-1].T / (BOX * PIXEL_ANG)
    spectrum = molecule(34.0, 4.0).slice(k).reshape((BOX,) * 3)
    truth = np.fft.fftshift(np.fft.ifftn(np.fft.ifftshift(spectrum))).real
    everywhere = replace(result.views, sine=np.zeros_like(result.views.sine))
    to_truth = directional_fsc(result.volume, truth, PIXEL_ANG, result.mask, views=everywhere)
    agreement = to_truth.curves[:, 3:10].mean(axis=1)
    bad = result.directions.resolution_ang > 2 * result.directions.mean_ang
    assert bad.any() and agreement[bad].mean() < 0.35 and agreement[result.directions.resolution_ang < 10].mean() > 0.8


def test_even_views_are_about_as_good_everywhere(even):
    result = reconstruct(ParticleDataset.open(even))
    assert result.directions.worst_ang < 1.35 * result.directions.mean_ang < 1.35 * 1.1 * result.resolution_ang()
    assert result.directions.warning == "" and result.directions.views.unseen == 0


@pytest.mark.parametrize("seed", range(6))
def test_few_noisy_particles_from_everywhere_are_no_warning(seed, tmp_path):
    star = particles(tmp_path / "set", rows(300, seed=seed), noise=4.0)
    directions = reconstruct(ParticleDataset.open(star), seed=seed).directions
    assert directions.worst_ang < FAR_WORSE * directions.mean_ang and not directions.warning


def test_half_maps_alone_show_it_too(narrow, even, tmp_path, capsys):
    """Without views, by the power that is missing."""
    for star, far_worse in ((narrow, True), (even, False)):
        out = tmp_path / star.parent.parent.name
        assert main(["reconstruct", str(star), "--out", str(out)]) == 0
        halves = [str(out / f"run_half{number}_class001_unfil.mrc") for number in (1, 2)]
        figures = ["--out", str(out / "curve.json"), "--figure", str(out / "curve.png")]
        assert main(["fsc", *halves, "--half-maps", "--mask", str(out / "mask.mrc"), *figures]) == 0
        found = json.loads((out / "curve.json").read_text())["directions"]
        assert found["far_worse"] == far_worse
        assert not far_worse or angle_deg(found["worst_direction"], (0, 0, 1)) < 30
    assert "FSC 0.143 by direction" in capsys.readouterr().out


def test_reconstruct_says_it_in_words_numbers_and_a_figure(narrow, tmp_path, capsys):
    assert main(["reconstruct", str(narrow), "--out", str(tmp_path / "rec")]) == 0
    said = capsys.readouterr().out
    assert "along the worst direction, (0.00, 0.00, 1.00)" in said and "are in no image" in said
    summary = json.loads((tmp_path / "rec" / "reconstruction.json").read_text())
    assert summary["directions"]["worst_ang"] > 3 * summary["directions"]["mean_ang"]
    table = np.loadtxt(tmp_path / "rec" / summary["files"]["directions"], delimiter=",", skiprows=1)
    assert table.shape == (96, 4 + BOX // 2 + 1)
    assert table[:, 3].max() == pytest.approx(summary["directions"]["worst_ang"], abs=1e-3)
    assert (tmp_path / "rec" / summary["files"]["directions_figure"]).stat().st_size > 20_000


def test_all_directions_together_are_the_curve_of_whole_shells(even):
    """Cones that all see the same noise: their mean is the FSC of shells, but for the shells that are averaged."""
    result = reconstruct(ParticleDataset.open(even))
    whole = fsc_corrected(result.half1, result.half2, result.mask).corrected
    np.testing.assert_allclose(result.directions.curves.mean(0)[3:13], whole[3:13], atol=0.09)


def test_a_state_that_moves_along_the_missing_direction_is_flagged_and_one_that_moves_across_is_not(tmp_path):
    shares = {}
    for name, step in (("along", (0, 0, 8.0)), ("across", (8.0, 0, 0))):
        maps = []
        for sign in (-1, 1):
            blobs = molecule(34.0, 5.0)
            moved = blobs.centres_ang.copy()
            moved[:2] += sign * np.array(step)
            table = seen_within(rows(800), (0, 0, 1), NEAR_DEG)
            star = particles(tmp_path / f"{name}{sign}", table, replace(blobs, centres_ang=moved), noise=1.0)
            maps.append(reconstruct(ParticleDataset.open(star)))
        difference = maps[0].volume - maps[1].volume
        shares[name] = unseen_share(difference, maps[0].views)
    assert shares["across"] < MUCH_UNSEEN < shares["along"]


def test_without_a_gap_nothing_of_a_difference_is_unseen():
    difference = np.random.default_rng(0).normal(size=(BOX,) * 3)
    views = view_gaps(Rotation.random(500, random_state=0).as_matrix())
    assert unseen_share(difference, views) == 0
