"""Species that are both mixtures of the same two molecules are made anew in twos."""

from dataclasses import replace

import numpy as np
import pytest

from cryodrgn_plugin.engine.ab_initio.ab_initio_recipe import AbInitio, Progress
from cryodrgn_plugin.engine.ab_initio.outcome import Outcome
from cryodrgn_plugin.engine.ab_initio.pairing import in_pairs, overlap
from cryodrgn_plugin.engine.ab_initio.placement import Placement
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.likelihood.species_maps import Maps
from cryodrgn_plugin.engine.simulate import Ensemble, SimulationConfig, simulate_particles
from cryodrgn_plugin.engine.simulate.tiny import tiny_ensemble


def placed(lag: np.ndarray) -> Placement:
    """Images in the species that they lag least behind."""
    return replace(Placement.unknown(len(lag), lag.shape[1]), species=lag.argmin(1), lag=lag.astype(np.float32))


def test_species_that_suit_the_same_images_are_next_to_one_another():
    own, near, far = 0.0, 2.0, 60.0
    by_species = [[own, far, near, far, far], [far, own, far, far, near], [near, far, own, far, far]]
    by_species += [[far, far, far, own, far], [far, near, far, far, own]]
    placement = placed(np.repeat(by_species, 20, axis=0))
    order = in_pairs(placement, 5)
    assert sorted(order) == list(range(5))
    assert {frozenset(order[:2]), frozenset(order[2:4])} == {frozenset({0, 2}), frozenset({1, 4})}
    near = overlap(placement, 5)
    np.testing.assert_allclose(near, near.T)
    assert near[0, 2] == pytest.approx(np.exp(-0.2)) and near[0, 1] < 0.01
    assert in_pairs(placed(np.zeros((4, 1))), 1) == [0]


def test_a_pair_is_judged_by_the_images_of_both():
    outcome = Outcome(None, 0.0, np.array([1.0, 4.0, 9.0]), np.array([30, 10, 7]))
    np.testing.assert_allclose(outcome.of_families(np.array([0, 0, 1])), [1.75, 1.75, 9.0])
    np.testing.assert_allclose(outcome.of_families(np.arange(3)), [1.0, 4.0, 9.0])
    nobody = Outcome(None, 0.0, np.zeros(2), np.zeros(2, int))
    np.testing.assert_array_equal(nobody.of_families(np.zeros(2, int)), [0, 0])


@pytest.mark.slow
def test_two_species_that_both_hold_two_molecules_come_to_hold_one_each(tmp_path, few_starts):
    chain = tiny_ensemble(1).states[0]
    half = chain[np.arange(len(chain.coords_ang)) < 60]
    both = Ensemble([chain, half], np.arange(2.0), np.ones(2), ("whole", "half"))
    simulation = SimulationConfig(n_particles=400, box=32, pixel_size_ang=4.0, snr=1.0, shift_px=1.0)
    star = simulate_particles(both, simulation, tmp_path / "set", 3)
    settings = {"particles": str(star), "z_dim": 0, "ab_initio.species": 2, "ab_initio.rounds": 10, "poses.levels": 2}
    recipe = AbInitio(recipe_config("abinitio", settings), ParticleDataset.open(star).without_poses())
    mixed, rng = np.arange(400) // 2 % 2, np.random.default_rng(0)
    recipe.engine.placement = replace(Placement.unknown(400, 2), species=mixed)
    steps = recipe.steps(Progress())
    pairing = [number for number, step in enumerate(steps) if step.phase == "pair"]
    maps = recipe.engine.start(2, replace(steps[pairing[0]].plan, met="own"), 200, rng)
    progress = Progress(maps=maps, done=pairing[0])
    state = np.load(star.parent / "truth.npz")["state"]
    while progress.done <= pairing[-1] + 1:
        recipe.advance(progress)
        progress.done += 1
    taking_part = recipe.engine.placement.species >= 0
    right = (recipe.engine.placement.species == state)[taking_part].mean()
    assert max(right, 1 - right) > 0.9
    assert isinstance(progress.maps, Maps) and progress.maps.n_species == 2
