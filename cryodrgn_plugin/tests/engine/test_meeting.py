"""Which species images meet, and species that are held to equal shares of them."""

from dataclasses import replace

import numpy as np
import pytest

from cryodrgn_plugin.engine.ab_initio.even_shares import even_offsets
from cryodrgn_plugin.engine.ab_initio.meeting import NEAREST, log_prior, met
from cryodrgn_plugin.engine.ab_initio.placement import Placement
from cryodrgn_plugin.engine.ab_initio.rounds import PoseRounds
from cryodrgn_plugin.engine.ab_initio.stages import CHECKS, RIPENING, Stages
from cryodrgn_plugin.engine.ab_initio.steps import Round
from cryodrgn_plugin.engine.config import PoseConfig, recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.likelihood.linear_model import LinearModel
from cryodrgn_plugin.engine.likelihood.species_maps import Maps
from cryodrgn_plugin.engine.simulate import SimulationConfig, equal_parts, simulate_particles
from cryodrgn_plugin.engine.simulate.tiny import tiny_ensemble

PLAN = Round(radius=5, images=400, temperature=0.5, kept=1, met="likely")


def placement(lag: np.ndarray, species: np.ndarray) -> Placement:
    return replace(Placement.unknown(len(lag), lag.shape[1]), lag=lag.astype(np.float32), species=species)


def in_pools(lag: np.ndarray, species: np.ndarray, pools: np.ndarray) -> Placement:
    return replace(placement(lag, species), pools=pools)


def shares(lag: np.ndarray, offsets: np.ndarray, temperature: float) -> np.ndarray:
    """What species have of the images, written out."""
    likely = np.exp(temperature * (offsets - lag))
    return (likely / likely.sum(1, keepdims=True)).mean(0)


def test_an_image_meets_a_species_that_is_hopeless_for_it_only_now_and_then():
    placed, index = placement(np.tile([0.0, 100.0], (500, 1)), np.arange(500) % 2), np.arange(500)
    likely = met(placed, index, PLAN, np.random.default_rng(0))
    assert likely[:, 0].all()
    assert 0.05 < likely[:, 1].mean() < 0.15
    own = met(placed, index, replace(PLAN, met="own"), np.random.default_rng(0))
    np.testing.assert_array_equal(own, index[:, None] % 2 == np.arange(2))


def test_an_image_meets_the_nearest_species_of_its_pool_while_maps_ripen_and_others_now_and_then():
    rng, pools = np.random.default_rng(3), np.repeat([0, 1], [8, 3])
    lag = rng.uniform(1, 20, (400, 11))
    lag[:, 8:] = 0.0  # of another pool, however near
    ripening = replace(PLAN, met="pool", crossed=True)
    are_met = met(in_pools(lag, np.arange(400) % 8, pools), np.arange(400), ripening, np.random.default_rng(0))
    assert not are_met[:, 8:].any()
    nearest = lag[:, :8].argsort(1)
    assert np.take_along_axis(are_met, nearest[:, :NEAREST], 1).all()
    assert 0.05 < np.take_along_axis(are_met, nearest[:, NEAREST:], 1).mean() < 0.15
    of_three = met(in_pools(lag, np.full(400, 9), pools), np.arange(400), ripening, np.random.default_rng(0))
    np.testing.assert_array_equal(of_three, np.broadcast_to(pools == 1, (400, 11)))


def test_offsets_give_all_species_of_a_pool_as_many_of_its_images():
    rng = np.random.default_rng(1)
    lag = rng.gamma(2.0, 4.0, (600, 6)) + np.array([0, 9, 14, 3, 0, 20])
    # Images of the first family are in one of its species; those that are set aside are in none.
    species = np.concatenate([rng.integers(0, 2, 200), rng.integers(2, 6, 350), np.full(50, -1)])
    pools = np.array([0, 0, 1, 1, 1, 1])
    offsets = even_offsets(in_pools(lag, species, pools), "pool", 0.4)
    for pool, columns in enumerate((slice(0, 2), slice(2, 6))):
        own = (species >= 0) & (pools[species] == pool)
        size = columns.stop - columns.start
        np.testing.assert_allclose(shares(lag[own, columns], offsets[columns], 0.4), 1 / size, atol=1e-3)
        assert offsets[columns].sum() == pytest.approx(0.0, abs=1e-9)
    # What images of one pool lack has no say in the offsets of another, and images in none have none at all.
    lag[species < 2] += 50.0
    lag[species == -1] = 0.0
    np.testing.assert_allclose(even_offsets(in_pools(lag, species, pools), "pool", 0.4)[2:], offsets[2:], atol=1e-3)


def test_an_image_meets_the_species_of_its_pool():
    species, pools = np.array([0, 1, 2, 4, -1]), np.array([0, 0, 1, 1, 1])
    met_in_pool = met(in_pools(np.zeros((5, 5)), species, pools), np.arange(4), replace(PLAN, met="pool"), None)
    np.testing.assert_array_equal(met_in_pool, pools[species[:4], None] == pools)


def test_of_two_kinds_each_goes_to_the_species_that_suits_it_more_than_it_suits_the_other():
    rng, kind = np.random.default_rng(2), np.arange(400) % 2
    # The first species explains all images better, those of one kind by 14 and those of the other by 6.
    worse = np.where(kind == 0, 14.0, 6.0) + rng.normal(0, 1.5, 400)
    lag = np.stack([np.zeros(400), worse], axis=1)
    assert (lag.argmin(1) == 0).all()
    offered = even_offsets(placement(lag, np.zeros(400, int)), "kin", 0.8) - lag
    assert (offered.argmax(1) == kind).mean() > 0.97


def test_a_species_without_images_of_its_family_is_offered_as_it_is():
    assert not even_offsets(placement(np.ones((10, 4)), np.zeros(10, int)), "kin", 1.0)[2:].any()


def test_the_prior_is_the_share_of_the_images_or_what_makes_shares_equal():
    lag, species = np.tile([0.0, 5.0], (50, 1)), np.zeros(50, int)
    np.testing.assert_allclose(log_prior(placement(lag, species), np.array([0.9, 0.1]), PLAN), np.log([0.9, 0.1]))
    even = log_prior(placement(lag, species), np.array([0.9, 0.1]), replace(PLAN, met="kin", even=True))
    np.testing.assert_allclose(even, [-2.5, 2.5], atol=1e-6)


def test_where_shares_are_equal_no_map_takes_all_images(tmp_path):
    settings = SimulationConfig(n_particles=240, box=16, pixel_size_ang=7.0, snr=1.0, shift_px=1.0)
    ensemble = equal_parts(tiny_ensemble(1).states[:1], ("chain",))
    dataset = ParticleDataset.open(simulate_particles(ensemble, settings, tmp_path, seed=3)).without_poses()
    engine = PoseRounds(dataset, estimate_noise(dataset), PoseConfig(shift_extent=0.07), 1.5, seed=0)
    true = read_map(tmp_path / "maps" / "state_000.mrc")[0]
    faint = np.random.default_rng(0).standard_normal(true.shape).astype(np.float32) * true.std() / 3
    backend = engine._backend(7)
    maps = Maps([[LinearModel.of(backend, volume[None]) for volume in (true, faint)]], np.full(2, 0.5))

    def largest(even: bool) -> float:
        plan = replace(PLAN, radius=7, images=240, met="kin", even=even)
        engine.placement = placement(np.zeros((240, 2)), np.zeros(240, int))
        for seed in range(2):
            engine.place(maps, plan, np.random.default_rng(seed))
        return float(np.bincount(engine.placement.species).max() / 240)

    assert largest(even=False) > 0.9
    assert largest(even=True) < 0.6


def test_shares_are_equal_while_species_begin_anew_together_and_not_when_they_are_judged():
    config = recipe_config("abinitio", {})
    found, known = (
        Stages.of(config.ab_initio, config.poses, 64, 1000, species=3, grows=grows) for grows in (True, False)
    )
    assert known.pairing and all(plan.even != plan.crossed for plan in known.pairing)
    # Of pools half-sets are crossed while shares are equal still.
    assert [plan.even for plan in found.grouping] == [True] * (len(found.grouping) - CHECKS) + [False] * CHECKS
    assert [plan.crossed for plan in found.grouping].count(True) == RIPENING + CHECKS
    assert not any(plan.even for plan in [*found.parting, *found.sorting, *found.refining])
