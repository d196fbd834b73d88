"""Populations of states: they agree with other ways of computing them, and their intervals hold the truth."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import norm

from cryodrgn_plugin.engine.analysis import populations
from cryodrgn_plugin.engine.analysis.populations import counted, most_likely
from cryodrgn_plugin.engine.errors import DataError

TRUE = np.array([0.7, 0.2, 0.1])
PLACES = np.array([0.0, 1.5, 3.5])


def scores_of(n: int, seed: int, true: np.ndarray = TRUE) -> tuple[np.ndarray, np.ndarray]:
    """Log-likelihoods (n, M) of draws from overlapping Gaussians, and the state of each draw."""
    rng = np.random.default_rng(seed)
    state = rng.choice(len(true), n, p=true)
    x = PLACES[state] + rng.standard_normal(n)
    return norm.logpdf(x[:, None], PLACES), state


def test_the_interval_of_counted_labels_is_the_binomial_one():
    labels = np.r_[np.zeros(700, int), np.ones(300, int)]
    found = counted(labels, 2, replicates=20_000)
    spread = 1.96 * np.sqrt(0.7 * 0.3 / 1000)
    assert found.share == pytest.approx([0.7, 0.3])
    assert found.low == pytest.approx([0.7 - spread, 0.3 - spread], abs=2e-3)
    assert found.high == pytest.approx([0.7 + spread, 0.3 + spread], abs=2e-3)


def test_groups_that_are_alike_inside_widen_the_interval():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 25)
    labels = np.repeat(rng.random(40) < 0.3, 25).astype(int)
    alone, together = counted(labels, 2), counted(labels, 2, groups=groups)
    width = (together.high - together.low) / (alone.high - alone.low)
    assert together.share == pytest.approx(alone.share)
    assert width == pytest.approx([5.0, 5.0], rel=0.15)  # the root of 25 particles that count as one


def test_most_likely_populations_are_where_an_optimiser_finds_the_maximum():
    scores, _ = scores_of(800, seed=1)

    def loss(logits):
        population = np.exp(np.r_[0, logits]) / np.exp(np.r_[0, logits]).sum()
        return -np.log(np.exp(scores) @ population).mean()

    best = minimize(loss, np.zeros(2), tol=1e-12).x
    expected = np.exp(np.r_[0, best]) / np.exp(np.r_[0, best]).sum()
    assert most_likely(scores, replicates=20).share == pytest.approx(expected, abs=1e-4)


def test_states_that_are_hardly_told_apart_settle_all_the_same():
    """Plain EM takes tens of thousands of rounds here."""
    rng = np.random.default_rng(8)
    places = np.linspace(0, 3, 6)
    x = rng.choice(places, 1500, p=[0.4, 0.1, 0.1, 0.1, 0.1, 0.2]) + rng.standard_normal(1500)
    scores = norm.logpdf(x[:, None], places)
    found = most_likely(scores, replicates=50)
    plain = np.full(6, 1 / 6)
    likelihood = np.exp(scores)
    for _ in range(30_000):
        plain = plain * (likelihood / (likelihood @ plain)[:, None]).mean(axis=0)
    height = [np.log(likelihood @ share).sum() for share in (found.share, plain)]
    assert height[0] >= height[1] - 1e-3
    assert ((found.low <= found.share + 1e-9) & (found.share - 1e-9 <= found.high)).all()


def test_overlap_of_states_biases_labels_but_not_the_most_likely_populations():
    scores, _ = scores_of(20_000, seed=2)
    labels = counted(scores.argmax(axis=1), 3)
    found = most_likely(scores, replicates=200)
    assert abs(labels.share[0] - 0.7) > 0.04
    assert ((found.low <= TRUE) & (TRUE <= found.high)).all()


def test_intervals_hold_the_truth_as_often_as_they_say():
    held = []
    for seed in range(60):
        found = most_likely(scores_of(600, seed=10 + seed)[0], replicates=200, level=0.9)
        held.append((found.low <= TRUE) & (TRUE <= found.high))
    assert 0.8 <= np.mean(held) <= 0.97


def test_many_particles_are_resampled_in_part_with_the_spread_of_all(monkeypatch):
    scores, _ = scores_of(8000, seed=3)
    whole = most_likely(scores, replicates=400)
    monkeypatch.setattr(populations, "MOST_RESAMPLED", 2000)
    part = most_likely(scores, replicates=400)
    assert part.share == pytest.approx(whole.share)
    assert part.high - part.low == pytest.approx(whole.high - whole.low, rel=0.25)


def test_the_same_seed_gives_the_same_interval():
    scores, state = scores_of(300, seed=4)
    for count in (lambda seed: most_likely(scores, seed=seed), lambda seed: counted(state, 3, seed=seed)):
        assert (count(0).low == count(0).low).all()
        assert (count(0).low != count(1).low).any()


@pytest.mark.parametrize("labels", [[], [0, 3], [-1, 0]])
def test_impossible_labels_are_refused(labels):
    with pytest.raises(DataError, match="between 0 and 2"):
        counted(np.array(labels, int), 3)


def test_scores_that_are_not_numbers_are_refused():
    with pytest.raises(DataError, match="finite"):
        most_likely(np.array([[0.0, np.nan]]))
