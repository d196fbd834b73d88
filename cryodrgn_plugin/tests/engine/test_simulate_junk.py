"""Junk, neighbours and gradients of simulated sets: where they are is where they were put."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import fourier_shift

from cryodrgn_plugin.engine.io.mrc import StackReader, read_header, read_map
from cryodrgn_plugin.engine.io.particles import read_particles
from cryodrgn_plugin.engine.simulate import SimulationConfig, simulate_particles, tiny_ensemble, tiny_set
from cryodrgn_plugin.engine.simulate.foreign import ice_crystals
from cryodrgn_plugin.engine.simulate.surroundings import KINDS

BOX = 32
PLAIN = SimulationConfig(box=BOX, pixel_size_ang=3.5, snr=0.3, shift_px=1.0, keep_clean=True)
KIND = {name: number for number, name in enumerate(KINDS)}


def stack(star, name="clean.mrcs") -> np.ndarray:
    path = star.parent / name
    n = read_header(path).shape[0]
    return StackReader([f"{i}@{path}" for i in range(1, n + 1)]).read(np.arange(n))


def truth(star) -> dict:
    return dict(np.load(star.parent / "truth.npz"))


def made(folder, n=200, **settings):
    """(clean images, truth, star file) of a set with some settings changed, always of the same particles."""
    star = tiny_set(folder, n=n, seed=5, states=3, config=replace(PLAIN, **settings))
    return stack(star), truth(star), star


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return made(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def junk(tmp_path_factory):
    return made(tmp_path_factory.mktemp("junk"), junk_share=0.4)


def test_a_set_without_junk_has_none(plain):
    _, planted, _ = plain
    assert (planted["kind"] == 0).all() and (planted["neighbour"] == -1).all() and not planted["gradient"].any()


def test_junk_has_its_share_a_quarter_of_each_kind_in_random_places(junk):
    _, planted, _ = junk
    assert np.bincount(planted["kind"]).tolist() == [120, 20, 20, 20, 20]
    assert planted["kinds"].tolist() == list(KINDS)
    assert 20 < (planted["kind"][:100] > 0).sum() < 60


def test_good_particles_are_those_of_the_clean_set(plain, junk):
    good = junk[1]["kind"] == KIND["particle"]
    images, expected = junk[0][good], plain[0][good]
    scale = (images * expected).sum() / (expected**2).sum()
    np.testing.assert_allclose(images, scale * expected, atol=1e-4)
    assert images.var(axis=(1, 2)).mean() == pytest.approx(0.3, rel=1e-3)


def test_noise_only_has_no_signal(junk):
    images, planted, star = junk
    rows = planted["kind"] == KIND["noise only"]
    assert not images[rows].any()
    assert stack(star, "particles.mrcs")[rows].std() == pytest.approx(1, rel=0.03)


def test_something_else_is_as_strong_as_the_particles_and_unlike_them(plain, junk):
    images, planted, _ = junk
    rows = np.flatnonzero(planted["kind"] == KIND["something else"])
    assert images[rows].var(axis=(1, 2)).mean() == pytest.approx(0.3, rel=0.02)
    alike = [np.corrcoef(images[row].ravel(), plain[0][row].ravel())[0, 1] for row in rows]
    assert np.mean(alike) < 0.7


def test_off_centre_particles_are_where_the_truth_says_and_do_not_come_in_on_the_other_side(plain, junk):
    images, planted, star = junk
    rows = np.flatnonzero(planted["kind"] == KIND["off-centre"])
    away = planted["shifts_ang"][rows] - plain[1]["shifts_ang"][rows]
    assert np.linalg.norm(away, axis=1).min() > 0.17 * BOX * 3.5
    told = -read_particles(star).origins_ang[rows]
    np.testing.assert_allclose(told, plain[1]["shifts_ang"][rows], atol=1e-5)
    np.testing.assert_allclose(planted["shift_error_ang"][rows], -away, atol=1e-9)
    y, x = np.indices((BOX, BOX)) - BOX // 2
    for row, (ax, ay) in zip(rows, away, strict=True):
        weight = np.clip(images[row] - np.median(images[row]), 0, None) ** 2
        centre = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
        assert centre @ (ax, ay) > 0
        behind = x * ax + y * ay < -0.35 * BOX * np.hypot(ax, ay)
        assert (images[row][behind] ** 2).mean() < 0.2 * (images[row] ** 2).mean()


def test_crystals_are_bright_and_have_fringes_where_pixels_reach_them(junk):
    images, planted, _ = junk
    crystals = images[planted["kind"] == KIND["ice"]]
    assert ((crystals.max(axis=(1, 2)) > 1.9) & (crystals.max(axis=(1, 2)) < 4.1)).all()
    fine = replace(PLAIN, box=64, pixel_size_ang=1.2)
    spectrum = np.abs(np.fft.rfft2(ice_crystals(20, fine, np.random.default_rng(0))))
    radius = np.hypot(np.fft.fftfreq(64, 1.2)[:, None], np.fft.rfftfreq(64, 1.2))
    ring, inside, beyond = (spectrum[:, np.abs(radius - at) < 0.02].max(axis=1) for at in (1 / 3.67, 0.2, 0.35))
    assert (ring > 2 * inside).mean() > 0.9 and (ring > 2 * beyond).mean() > 0.9


def test_both_images_of_a_tilt_pair_show_the_same_junk(tmp_path):
    _, planted, _ = made(tmp_path, n=40, junk_share=0.5, tilt_deg=20.0)
    np.testing.assert_array_equal(planted["kind"][::2], planted["kind"][1::2])


def test_neighbours_are_other_particles_of_the_set_seen_at_the_edge(plain, tmp_path):
    images, planted, _ = made(tmp_path, neighbours_share=0.3)
    rows = np.flatnonzero(planted["neighbour"] >= 0)
    assert len(rows) == 60 and (planted["neighbour"][rows] != rows).all()
    added = images - plain[0]
    assert np.abs(added[planted["neighbour"] < 0]).max() < 1e-5
    assert (added[rows].std(axis=(1, 2)) > 0.02).all()
    places = planted["neighbour_ang"][rows] / (BOX * 3.5)
    farther = np.abs(places).max(axis=1)
    assert farther.min() >= 0.5 and farther.max() <= 0.65
    y, x = (np.indices((BOX, BOX)) - BOX // 2) / BOX
    for row, (px, py) in zip(rows, places, strict=True):
        toward = x * px + y * py
        power = added[row] ** 2
        assert power[toward > 0].sum() > 5 * power[toward < 0].sum()


def test_a_neighbour_is_the_particle_it_is_said_to_be(tmp_path):
    """Without CTF, a neighbour moved back to the centre is the image of that particle, as far as it is in the box."""
    images, planted, _ = made(tmp_path / "with", n=60, neighbours_share=0.5, ctf=False, shift_px=0.0)
    alone, _, _ = made(tmp_path / "without", n=60, ctf=False, shift_px=0.0)
    for row in np.flatnonzero(planted["neighbour"] >= 0)[:10]:
        added = images[row] - alone[row]
        other = np.pad(alone[planted["neighbour"][row]], BOX)
        moved = np.fft.ifft2(fourier_shift(np.fft.fft2(other), planted["neighbour_ang"][row][::-1] / 3.5)).real
        np.testing.assert_allclose(added, moved[BOX : 2 * BOX, BOX : 2 * BOX], atol=0.05)
        assert added.std() > 0.03


def test_gradients_are_ramps_of_the_stated_strength(plain, tmp_path):
    _, planted, star = made(tmp_path, gradient_sd=0.5)
    ramps = stack(star, "particles.mrcs") - stack(plain[2], "particles.mrcs")
    assert np.sqrt(ramps.var(axis=(1, 2)).mean()) == pytest.approx(0.5, rel=0.1)
    np.testing.assert_allclose(np.diff(ramps, 2, axis=2), 0, atol=1e-4)
    slopes = np.stack([np.diff(ramps, axis=2).mean(axis=(1, 2)), np.diff(ramps, axis=1).mean(axis=(1, 2))], axis=1)
    np.testing.assert_allclose(slopes * BOX, planted["gradient"], atol=1e-3)
    np.testing.assert_array_equal(stack(star), plain[0])


def test_maps_as_states_have_the_same_neighbours_as_the_models_they_came_from(tmp_path):
    config = replace(PLAIN, n_particles=20, snr=np.inf, ctf=False, neighbours_share=1.0)
    from_atoms = simulate_particles(tiny_ensemble(2), config, tmp_path / "atoms", seed=5)
    maps = [read_map(tmp_path / "atoms" / "maps" / f"state_{s:03d}.mrc")[0] for s in range(2)]
    from_maps = simulate_particles(maps, config, tmp_path / "maps", seed=5)
    for one, other in zip(stack(from_atoms), stack(from_maps), strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.999


def test_progress_ends_at_the_number_of_images_with_junk_too(tmp_path):
    seen = []
    config = replace(PLAIN, n_particles=50, junk_share=0.5, neighbours_share=0.5)
    simulate_particles(tiny_ensemble(2), config, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (100, 100)
