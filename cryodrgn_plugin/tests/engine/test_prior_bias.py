"""A model that is wrong is flagged where it is, by maps that know nothing of it; one that is right is not."""

import numpy as np
import pytest

from cryodrgn_plugin.engine.atomic_motion.bead_overlap import density
from cryodrgn_plugin.engine.atomic_motion.prior_bias import BiasChecker, stretches, verdict

from .two_domains import ARM, BOX, PIXEL_ANG, SIGMA_PX, turned, two_domains

STATES_DEG = (-15.0, 0.0, 15.0)


def check(wrong_by_deg=0.0, noise=0.25, seed=0, other=None):
    """The check of a model whose arm is turned too far in every state, or of `other` places (n, 3) in Å."""
    rng, model = np.random.default_rng(seed), two_domains()
    checker = BiasChecker(len(model), PIXEL_ANG)
    for angle in STATES_DEG:
        true = density(turned(model, angle) / PIXEL_ANG, 6 * np.ones(len(model)), SIGMA_PX, BOX)
        halves = tuple(true + noise * rng.standard_normal(true.shape) for _ in range(2))
        places = (turned(model, angle + wrong_by_deg) if other is None else other) / PIXEL_ANG
        shown = density(places, np.ones(len(model)), SIGMA_PX, BOX)
        checker.add(shown, halves, places, np.ones(len(model)), 1 / 3, np.ones((BOX,) * 3))
    return checker.result()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_right_model_is_trusted(seed):
    found = check(seed=seed)
    assert found.trusted and found.flagged_share == 0
    assert "agrees" in verdict(found, "")


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_domain_turned_by_thirty_degrees_is_flagged_and_named(seed):
    found = check(wrong_by_deg=30.0, seed=seed)
    assert found.trusted is False
    short = found.half_agreement - found.model_agreement
    assert found.flagged[ARM].mean() > 0.9 and short[ARM].mean() > short[~ARM].mean() + 0.1
    named = stretches(two_domains().chains, two_domains().residues, found.flagged)
    assert "B:" in named and named in verdict(found, named)


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_another_molecule_of_the_same_size_is_flagged(seed):
    found = check(other=two_domains(seed + 10).coords_ang @ np.diag([-1.0, 1, -1]), seed=seed)
    assert found.trusted is False and found.flagged_share > 0.3


def test_where_half_maps_say_nothing_nothing_is_said():
    found = check(noise=50.0)
    assert found.trusted is None and "cannot be told" in verdict(found, "")


def test_stretches_name_residues_by_chain_and_the_longest_first():
    chosen = np.array([1, 1, 0, 1, 1, 1, 0, 1], bool)
    assert stretches(list("AAAABBBB"), [5, 6, 7, 8, 1, 2, 3, 4], chosen) == "A:5-6, B:1-2, A:8-8, B:4-4"
