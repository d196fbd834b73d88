"""Species whose number is open: images sorted by power, and species that others can do without or miss."""

import numpy as np
import pytest

from cryodrgn_plugin.engine.ab_initio.dissolving import brought_back, expendable, lost_without
from cryodrgn_plugin.engine.ab_initio.missed_species import missed
from cryodrgn_plugin.engine.ab_initio.placement import Placement
from cryodrgn_plugin.engine.ab_initio.spectral_groups import lag_behind_groups
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.likelihood.species_maps import Maps
from cryodrgn_plugin.engine.likelihood.whitened import WhitenedImages
from cryodrgn_plugin.engine.simulate import Ensemble, SimulationConfig, simulate_particles
from cryodrgn_plugin.engine.simulate.tiny import tiny_ensemble


@pytest.fixture(scope="module")
def of_two_sizes(tmp_path_factory):
    """A chain and the fourth of it that lies in its middle."""
    chain = tiny_ensemble(1).states[0]
    both = Ensemble([chain, chain[np.arange(120) // 30 == 1]], np.arange(2.0), np.ones(2), ("whole", "quarter"))
    settings = SimulationConfig(n_particles=300, box=32, pixel_size_ang=3.5, snr=0.5, shift_px=2.0)
    return simulate_particles(both, settings, tmp_path_factory.mktemp("sizes"), seed=3)


def test_images_of_molecules_of_different_mass_are_sorted_by_their_power(of_two_sizes):
    dataset = ParticleDataset.open(of_two_sizes).without_poses()
    images = WhitenedImages(dataset, estimate_noise(dataset))
    lag = lag_behind_groups(images, dataset.n, 2, 10, np.random.default_rng(0))
    state = np.load(of_two_sizes.parent / "truth.npz")["state"]
    assert lag.shape == (300, 2)
    # Groups are ordered by strength: the whole chain, state 0, is the last.
    assert np.mean(lag.argmin(1) == 1 - state) > 0.97
    assert (lag.min(1) == 0).all()


def test_groups_of_too_few_images_are_left_out(of_two_sizes):
    dataset = ParticleDataset.open(of_two_sizes).without_poses()
    images = WhitenedImages(dataset, estimate_noise(dataset))
    sizes = np.bincount(lag_behind_groups(images, dataset.n, 12, 40, np.random.default_rng(0)).argmin(1))
    assert len(sizes) < 12 and sizes.min() >= 40


def test_of_two_species_that_share_their_images_one_is_dropped_and_the_other_missed():
    placed, n = Placement.unknown(300, 3), 100
    placed.score[:] = 100.0
    own = np.repeat(np.arange(3), n)
    placed.species[:] = own
    # Images of 0 and 1 lack 1 % in the other; those of 2 lack a fifth in both.
    placed.lag[:] = np.where(own[:, None] == np.arange(3), 0.0, 20.0)
    placed.lag[own == 0, 1] = placed.lag[own == 1, 0] = 1.0
    left = missed(placed, 3, 5)
    assert len(left) == 2 and 2 in left
    assert missed(placed, 3, 150)[-1] == 2 or len(missed(placed, 3, 150)) == 1


def of_three_and_a_piece() -> Placement:
    """Species of 40, 30, 20 and 10 images; those of the last are near the second, of the third near the last."""
    placed = Placement.unknown(101, 4)
    placed.species[:] = np.repeat([0, 1, 2, 3, -1], [40, 30, 20, 10, 1])
    placed.score[:100] = 100.0
    placed.lag[:] = 30.0
    for species, rival in enumerate([1, 0, 3, 1]):
        placed.lag[placed.species == species, species] = 0.0
        placed.lag[placed.species == species, rival] = 10.0
    return placed


def test_small_species_are_dissolved_but_not_beside_their_nearest_rival():
    placed = of_three_and_a_piece()
    # Each image would lose a tenth, so that the smallest go first; the nearest rival of the third is among them.
    assert expendable(placed, 4, 3) == [3, 1]
    assert expendable(placed, 4, 1) == [3]
    # A large one goes first that others explain as well.
    placed.lag[:40, 1] = 1.0
    assert expendable(placed, 4, 2) == [0, 3]
    alone = Placement.unknown(3)
    alone.species[:] = 0
    assert expendable(alone, 1, 0) == []


def test_a_species_comes_back_where_its_images_are_explained_worse_without_it():
    before = of_three_and_a_piece()
    dissolved = np.array([3, 2])
    old = Maps([list("abcd"), list("ABCD")], np.array([0.4, 0.3, 0.2, 0.1]))
    after = before.copied().only([0, 1])
    # Maps got better meanwhile: images gain a tenth, those of the piece no less, and those of the third lose a fifth.
    after.score[:] = before.score * 1.1
    after.score[before.species == 2] = 80.0
    after.species[90:100], after.species[70:90], after.species[100] = 1, 0, 0
    np.testing.assert_allclose(lost_without(before, after, dissolved), [0, 1 - 0.8 / 1.1], atol=1e-6)
    maps, placed = brought_back(old, before, Maps([["x", "y"], ["X", "Y"]], np.array([0.5, 0.5])), after, dissolved)
    assert maps.models == [["x", "y", "c"], ["X", "Y", "C"]]
    np.testing.assert_allclose(maps.populations, [0.4, 0.4, 0.2])
    np.testing.assert_array_equal(placed.species, np.repeat([0, 1, 2, 1, 0], [40, 30, 20, 10, 1]))
    assert placed.lag.shape == (101, 3) and (placed.lag[70:90] == 0).all() and (placed.score[70:90] == 100).all()
    after.score[70:90] = 110.0
    assert brought_back(old, before, maps, after, dissolved)[0] is maps
