"""Backprojection of a data set: planted truth, halves in one pass, weights, noise, multiplied CTFs, bad requests."""

import numpy as np
import pytest

from cryodrgn_plugin.engine.config import DataConfig
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.data.half_sets import dealt
from cryodrgn_plugin.engine.errors import ConfigError, DataError
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.engine.reconstruction.backproject import accumulate, backproject, half_maps
from cryodrgn_plugin.engine.reconstruction.fsc import fsc
from cryodrgn_plugin.engine.reconstruction.masks import spherical_mask
from cryodrgn_plugin.engine.simulate.config import SimulationConfig
from cryodrgn_plugin.engine.simulate.tiny import tiny_set

BOX = 32


@pytest.fixture(scope="module")
def star(tmp_path_factory):
    """600 noisy particles with CTF and shifts, in two equal states of a hinge: rows know theirs from truth.npz."""
    config = SimulationConfig(snr=0.3, shift_px=2.0, pixel_size_ang=3.5)
    return tiny_set(tmp_path_factory.mktemp("two_states"), n=600, box=BOX, states=2, config=config)


@pytest.fixture(scope="module")
def dataset(star):
    return ParticleDataset.open(star)


@pytest.fixture(scope="module")
def states(star):
    """(state of each particle, [map of each state])."""
    maps = sorted((star.parent / "maps").glob("*.mrc"))
    return np.load(star.parent / "truth.npz")["state"], [read_map(m)[0] for m in maps]


def agreement(a, b):
    return fsc(a, b, spherical_mask(BOX))[1:12].mean()


@pytest.mark.parametrize("mode", ["wiener", "bayes", "relion"])
def test_every_mode_recovers_a_planted_state(dataset, states, mode):
    state, maps = states
    volume = backproject(dataset, np.flatnonzero(state == 0), noise=estimate_noise(dataset), mode=mode)
    assert volume.shape == (BOX, BOX, BOX) and volume.dtype == np.float32
    assert agreement(volume, maps[0]) > 0.9
    assert agreement(volume, maps[0]) > agreement(volume, maps[1]) + 0.02
    assert np.corrcoef(volume.ravel(), maps[0].ravel())[0, 1] > 0.8


def test_weights_choose_particles_as_an_index_does(dataset, states):
    state, _ = states
    by_weight = backproject(dataset, weights=(state == 1).astype(float), mode="relion")
    by_index = backproject(dataset, np.flatnonzero(state == 1), mode="relion")
    np.testing.assert_allclose(by_weight, by_index, atol=2e-4 * by_index.max())


def test_half_maps_come_from_one_pass_and_repeat_with_the_seed(dataset):
    first, again, other = (half_maps(dataset, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.half1, again.half1)
    np.testing.assert_array_equal(first.combined, again.combined)
    assert (first.halves != other.halves).any()
    alone = backproject(dataset, np.flatnonzero(first.halves == 1), mode="relion")
    np.testing.assert_allclose(first.half2, alone, atol=1e-5 * abs(alone).max())
    assert first.fsc[1:8].min() > 0.7 and first.fsc[-2] < 0.5


def test_the_map_of_both_halves_is_nearer_the_truth_than_either(dataset, states):
    state, maps = states
    mean = (np.bincount(state)[:, None, None, None] * np.array(maps)).sum(0) / len(state)
    found = half_maps(dataset, 0, noise=estimate_noise(dataset))
    assert agreement(found.combined, mean) > max(agreement(found.half1, mean), agreement(found.half2, mean))


def test_random_halves_are_as_equal_as_can_be():
    halves = dealt(np.arange(101), 0)
    assert sorted(np.bincount(halves)) == [50, 51]


def test_images_multiplied_by_their_ctf_give_the_same_map(dataset, star, tmp_path):
    """The same particles, multiplied by their CTF on disk and marked so as RELION does."""
    from cryodrgn_plugin.engine.imaging.ctf import evaluate_ctf
    from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
    from cryodrgn_plugin.engine.io.mrc import StackReader, write_stack
    from cryodrgn_plugin.engine.io.particles import read_particles

    table = read_particles(star)
    raw = StackReader(table.image_names, [star.parent]).read(np.arange(table.n))
    lattice = HalfPlane(BOX, BOX // 2)
    ctf = evaluate_ctf(table.ctf(), lattice.indices / (BOX * 3.5))
    write_stack(tmp_path / "multiplied.mrcs", lattice.images(lattice.spectra(raw) * ctf), 3.5)
    blocks = read_star(star)
    blocks["optics"]["rlnCtfDataAreCtfPremultiplied"] = 1
    blocks["particles"]["rlnImageName"] = [f"{i + 1:06d}@multiplied.mrcs" for i in range(table.n)]
    write_star(tmp_path / "multiplied.star", blocks)
    config = DataConfig(window=1.0, sign="white")
    multiplied = ParticleDataset.open(tmp_path / "multiplied.star", config)
    plain = ParticleDataset.open(star, config)
    assert agreement(backproject(multiplied, mode="wiener"), backproject(plain, mode="wiener")) > 0.98


def test_progress_reaches_the_number_of_particles(dataset):
    told = []
    accumulate(dataset, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (dataset.n, dataset.n) and len(told) == 3


def test_bad_requests_are_named(dataset):
    with pytest.raises(ConfigError, match="choose one of wiener, bayes, relion"):
        backproject(dataset, mode="magic")
    with pytest.raises(ConfigError, match="needs a noise model"):
        backproject(dataset, mode="bayes")
    with pytest.raises(DataError, match="no particles to reconstruct from"):
        backproject(dataset, np.array([], dtype=int), mode="relion")
    with pytest.raises(DataError, match="one half is empty"):
        half_maps(dataset, halves=np.zeros(dataset.n, dtype=np.int8))
