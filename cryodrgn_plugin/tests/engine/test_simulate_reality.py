"""Simulated sets as hard as real ones: the noise, views, contrast and errors are those that were asked for."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.config import DataConfig
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.errors import ConfigError, DataError
from cryodrgn_plugin.engine.geometry.rotations import matrices_from_euler, tilt_about_x
from cryodrgn_plugin.engine.imaging.noise import background_spectrum
from cryodrgn_plugin.engine.io.mrc import StackReader, read_header
from cryodrgn_plugin.engine.io.particles import read_particles
from cryodrgn_plugin.engine.simulate import SimulationConfig, tiny_set
from cryodrgn_plugin.engine.simulate.noise_colour import ColouredNoise, ice_power, noise_power
from cryodrgn_plugin.engine.simulate.views import drawn_views

BOX = 32
PLAIN = SimulationConfig(box=BOX, pixel_size_ang=3.5, snr=0.2, shift_px=2.0, keep_clean=True)
HARD = replace(
    PLAIN,
    noise_spectrum="ice",
    views="preferred",
    pose_error_deg=3.0,
    shift_error_px=0.7,
    defocus_error_ang=200.0,
)


def stack(star, name="particles.mrcs") -> np.ndarray:
    path = star.parent / name
    n = read_header(path).shape[0]
    return StackReader([f"{i}@{path}" for i in range(1, n + 1)]).read(np.arange(n))


def truth(star) -> dict:
    return dict(np.load(star.parent / "truth.npz"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return tiny_set(tmp_path_factory.mktemp("plain"), n=400, seed=7, config=PLAIN)


@pytest.fixture(scope="module")
def hard(tmp_path_factory):
    return tiny_set(tmp_path_factory.mktemp("hard"), n=400, seed=7, config=HARD)


def shell_power(images: np.ndarray) -> np.ndarray:
    """Mean power of a coefficient in each whole shell up to the Nyquist frequency."""
    axis = np.fft.fftfreq(BOX, 1 / BOX)
    shells = np.rint(np.hypot(axis[:, None], axis)).astype(int).ravel()
    power = (np.abs(np.fft.fft2(images)) ** 2).mean(0).ravel() / BOX**2
    return (np.bincount(shells, power) / np.bincount(shells))[: BOX // 2]


def test_without_options_what_is_drawn_is_what_was_drawn_before_there_were_any(plain):
    layout, noise = (np.random.default_rng(child) for child in np.random.SeedSequence(7).spawn(2))
    expected = noise.standard_normal((256, BOX, BOX), dtype=np.float32)
    np.testing.assert_allclose((stack(plain) - stack(plain, "clean.mrcs"))[:256], expected, atol=1e-6)
    states = layout.permutation(np.repeat(np.arange(10), 40))
    np.testing.assert_array_equal(truth(plain)["state"], states)
    rotations = Rotation.random(400, random_state=np.random.RandomState(layout.integers(2**31))).as_matrix()
    np.testing.assert_allclose(truth(plain)["rotations"], rotations, atol=1e-12)
    np.testing.assert_allclose(truth(plain)["shifts_ang"], layout.uniform(-7, 7, (400, 2)), atol=1e-12)
    assert not any(truth(plain)[name].any() for name in ("pose_error_deg", "shift_error_ang", "defocus_error_ang"))


def test_a_harder_set_keeps_the_states_shifts_ctf_and_contrast_of_the_plain_one(plain, hard):
    one, other = truth(plain), truth(hard)
    for name in ("state", "shifts_ang", "contrast", "defocus_u_ang", "defocus_v_ang"):
        np.testing.assert_array_equal(one[name], other[name])
    assert not np.allclose(one["rotations"], other["rotations"])


def test_the_noise_has_the_spectrum_of_ice_and_unit_variance(hard):
    noise = stack(hard) - stack(hard, "clean.mrcs")
    assert noise.var() == pytest.approx(1, rel=0.02)
    assert stack(hard, "clean.mrcs").var(axis=(1, 2)).mean() / noise.var() == pytest.approx(0.2, rel=0.03)
    expected = ice_power(np.arange(1, BOX // 2) / (BOX * 3.5))
    measured = shell_power(noise)[1:]
    np.testing.assert_allclose(measured / measured.mean(), expected / expected.mean(), rtol=0.12)
    assert measured[0] / measured[-1] > 3


def test_ice_falls_fivefold_to_half_the_nyquist_frequency_of_two_angstrom_pixels_and_has_a_ring():
    assert 5 < ice_power(np.array(0.0)) / ice_power(np.array(0.125)) < 10
    around = ice_power(np.array([0.21, 0.265, 0.32]))
    assert around[1] > around[0] and around[1] > around[2]


@pytest.mark.parametrize("columns", [1, 2])
def test_a_spectrum_comes_from_a_text_file(tmp_path, columns):
    nyquist = 1 / 7
    frequency = np.linspace(0, nyquist, 9)
    power = 1 + 4 * (frequency > 0.6 * nyquist)
    np.savetxt(tmp_path / "noise.txt", power if columns == 1 else np.stack([frequency, power], axis=1))
    config = replace(PLAIN, noise_spectrum=str(tmp_path / "noise.txt"))
    noise = ColouredNoise(config)(2000, np.random.default_rng(0))
    measured = shell_power(noise)
    assert noise.var() == pytest.approx(1, rel=0.01)
    assert measured[14:].mean() / measured[2:8].mean() == pytest.approx(5, rel=0.05)


def test_a_spectrum_is_measured_on_the_background_of_another_set(hard, tmp_path):
    """White would be flat: the simulated set of ice teaches its colour to another one."""
    config = replace(PLAIN, noise_spectrum=str(hard))
    measured, expected = noise_power(config), noise_power(replace(PLAIN, noise_spectrum="ice"))
    frequencies = np.r_[2:15]
    np.testing.assert_allclose(measured[0, frequencies], expected[0, frequencies], rtol=0.2)
    dataset = ParticleDataset.open(hard, DataConfig(sign="white"))
    power = background_spectrum(dataset, np.arange(dataset.n))
    assert power[2] / power[14] > 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "There is no file .* with a noise spectrum"),
        ("ice and snow\n", "is no table of numbers"),
        ("1 2 3\n4 5 6\n", "has 2 rows of 3 numbers"),
        ("0 1\n0.1 -1\n", "powers must be positive"),
        ("0.2 1\n0.1 1\n", "spatial frequencies must rise"),
    ],
)
def test_a_spectrum_that_cannot_be_used_is_explained(tmp_path, text, sentence):
    if text is not None:
        (tmp_path / "noise.txt").write_text(text)
    with pytest.raises(DataError, match=sentence):
        ColouredNoise(replace(PLAIN, noise_spectrum=str(tmp_path / "noise.txt")))


def directions(n: int = 20_000, **settings) -> np.ndarray:
    """(n, 3) unit vectors from which particles are seen."""
    return drawn_views(replace(PLAIN, **settings), n, np.random.default_rng(1))[:, 2]


def test_views_are_rotations_with_even_in_plane_angles():
    rotations = drawn_views(replace(PLAIN, views="top", views_concentration=50), 5000, np.random.default_rng(1))
    np.testing.assert_allclose(
        rotations @ np.swapaxes(rotations, 1, 2), np.broadcast_to(np.eye(3), (5000, 3, 3)), atol=1e-9
    )
    np.testing.assert_allclose(np.linalg.det(rotations), 1)
    in_plane = np.arctan2(rotations[:, 1, 0], rotations[:, 0, 0])
    assert abs(np.exp(1j * in_plane).mean()) < 0.05


@pytest.mark.parametrize("views", ["even", "side", "top", "preferred"])
def test_no_concentration_is_even(views):
    seen = directions(views=views, views_concentration=0.0)
    np.testing.assert_allclose(seen.T @ seen / len(seen), np.eye(3) / 3, atol=0.01)


def test_side_views_lie_around_the_equator_as_wide_as_stated():
    seen = directions(views="side", views_concentration=25.0)
    assert seen[:, 2].std() == pytest.approx(1 / 5, rel=0.03)
    np.testing.assert_allclose(seen[:, :2].mean(0), 0, atol=0.02)


def test_top_views_lie_around_both_ends_of_the_axis():
    seen = directions(views="top", views_concentration=25.0)
    # Of a von Mises–Fisher distribution the mean of cos θ is coth κ − 1/κ.
    assert np.abs(seen[:, 2]).mean() == pytest.approx(1 - 1 / 25, abs=0.002)
    assert (seen[:, 2] > 0).mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("count", [1, 3])
def test_preferred_views_lie_around_as_many_directions_as_stated(count):
    left = directions(views="preferred", views_concentration=4000.0, preferred_views=count)
    for _ in range(count):
        assert len(left)
        left = left[left @ left[0] < np.cos(np.radians(10))]
    assert len(left) == 0


def test_views_are_drawn_from_a_star_file(tmp_path):
    narrow = tiny_set(tmp_path / "a", n=30, config=replace(PLAIN, views="top", views_concentration=200.0))
    seen = drawn_views(replace(PLAIN, views_from=str(narrow)), 500, np.random.default_rng(0))
    given = truth(narrow)["rotations"][:, 2]
    nearest = seen[:, 2] @ given.T
    assert nearest.max(axis=1).min() > 1 - 1e-6
    assert len(set(nearest.argmax(axis=1))) == 30
    assert abs(np.exp(1j * np.arctan2(seen[:, 1, 0], seen[:, 0, 0])).mean()) < 0.1


def test_views_of_a_star_file_without_angles_are_refused(tmp_path):
    (tmp_path / "bare.star").write_text("data_\nloop_\n_rlnImageName #1\n1@a.mrcs\n")
    with pytest.raises(DataError, match="has particles without angles"):
        drawn_views(replace(PLAIN, views_from=str(tmp_path / "bare.star")), 5, np.random.default_rng(0))
    with pytest.raises(ConfigError, match="give one of them"):
        replace(PLAIN, views="top", views_from="a.star")


def test_poses_and_shifts_of_the_star_file_are_wrong_by_what_was_asked_for(hard):
    table, planted = read_particles(hard), truth(hard)
    told = matrices_from_euler(table.euler_deg)
    errors = Rotation.from_matrix(told @ np.swapaxes(planted["rotations"], 1, 2)).as_rotvec(degrees=True)
    np.testing.assert_allclose(errors, planted["pose_error_deg"], atol=1e-4)
    np.testing.assert_allclose(errors.std(0), 3.0, rtol=0.12)
    moved = -table.origins_ang - planted["shifts_ang"]
    np.testing.assert_allclose(moved, planted["shift_error_ang"], atol=1e-5)
    np.testing.assert_allclose(moved.std(0), 0.7 * 3.5, rtol=0.12)


def test_defocus_of_the_star_file_is_wrong_by_what_was_asked_for(hard):
    ctf, planted = read_particles(hard).ctf(), truth(hard)
    for told, true in ((ctf.defocus_u_ang, "defocus_u_ang"), (ctf.defocus_v_ang, "defocus_v_ang")):
        np.testing.assert_allclose(told - planted[true], planted["defocus_error_ang"], atol=1e-3)
    assert planted["defocus_error_ang"].std() == pytest.approx(200, rel=0.12)


def test_images_are_of_the_true_poses_and_not_of_those_that_are_told(tmp_path):
    right = tiny_set(tmp_path / "right", n=30, seed=2, config=PLAIN)
    wrong = tiny_set(tmp_path / "wrong", n=30, seed=2, config=replace(HARD, views="even", noise_spectrum="white"))
    np.testing.assert_array_equal(stack(right), stack(wrong))
    assert right.read_text() != wrong.read_text()


def test_partners_of_a_tilt_pair_are_wrong_about_their_particle(tmp_path):
    star = tiny_set(tmp_path, n=20, seed=2, config=replace(HARD, tilt_deg=30.0))
    told = matrices_from_euler(read_particles(star).euler_deg)
    np.testing.assert_allclose(told[1::2], tilt_about_x(30.0) @ told[::2], atol=1e-5)
    planted = truth(star)
    errors = Rotation.from_matrix(told @ np.swapaxes(planted["rotations"], 1, 2)).as_rotvec(degrees=True)
    np.testing.assert_allclose(errors, planted["pose_error_deg"], atol=1e-4)
    np.testing.assert_array_equal(planted["shift_error_ang"][1::2], planted["shift_error_ang"][::2])


def test_contrast_varies_as_asked_and_is_never_nothing(tmp_path):
    planted = truth(tiny_set(tmp_path, n=600, config=replace(PLAIN, contrast_sd=0.3)))["contrast"]
    assert planted.std() == pytest.approx(0.3, rel=0.1)
    assert planted.min() >= 0.1
