"""States as a Gaussian mixture in the space of volumes, their number chosen by the Bayesian information criterion.

Each number of states is also judged by the likelihood of particles that were left out. The mixture is of full
covariance, in the components that carry the variance; the others hold noise.
"""

from dataclasses import dataclass

import numpy as np

from .. import threads
from .representatives import drawn

MOST_FITTED = 20_000
"""Particles on which numbers of states are tried; two thirds are fitted and one third judges."""
LEAST_VARIANCE = 0.01
MOST_COMPONENTS = 6
"""States live in the components with at least this share of the variance, and in at most so many."""
STARTS = 2


@dataclass(frozen=True)
class Tried:
    """How well a number of states does."""

    states: int
    bic: float
    """Bayesian information criterion per particle; lower is better."""
    held_out: float
    """Mean log-likelihood of a particle that was left out."""


@dataclass(frozen=True)
class States:
    """A mixture of M Gaussians over N particles, in the order of their first component."""

    labels: np.ndarray
    """(N,) int32, the most likely state, from 0."""
    probability: np.ndarray
    """(N,) float32, of that state."""
    log_likelihoods: np.ndarray
    """(N, M) of each particle under each state, the populations left out."""
    tried: tuple[Tried, ...]


def mixture_states(scores: np.ndarray, explained: np.ndarray, states: str, most: int, seed: int) -> States:
    """Fit `states` Gaussians ("auto": 1 … `most`, the lowest BIC) to scores (N, P) with explained variances (P,)."""
    used = max(int((explained >= LEAST_VARIANCE).sum()), 1)
    points = scores[:, : min(used, MOST_COMPONENTS)].astype(np.float64)
    points = points / max(points.std(), 1e-30)
    part = np.random.default_rng(seed).permutation(drawn(len(points), MOST_FITTED, seed))
    numbers = range(1, most + 1) if states == "auto" else [int(states)]
    numbers = [number for number in numbers if number <= len(part) // 3]
    fitted, left = np.split(part, [2 * len(part) // 3])
    tried = []
    for number in numbers:
        model = _fit(points[fitted], number, seed)
        tried.append(Tried(number, model.bic(points[fitted]) / len(fitted), float(model.score(points[left]))))
    best = min(tried, key=lambda trial: trial.bic).states
    return _assigned(_fit(points[part], best, seed), points, tuple(tried))


def _fit(points: np.ndarray, number: int, seed: int):
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(number, covariance_type="full", n_init=STARTS, random_state=seed, max_iter=200)
    with threads.sums_in_one_order():
        return mixture.fit(points)


def _assigned(model, points: np.ndarray, tried: tuple[Tried, ...]) -> States:
    from scipy.stats import multivariate_normal

    order = np.argsort(model.means_[:, 0], kind="stable")
    means, covariances, weights = model.means_[order], model.covariances_[order], model.weights_[order]
    log_likelihoods = np.stack(
        [multivariate_normal(mean, spread).logpdf(points) for mean, spread in zip(means, covariances, strict=True)], 1
    )
    joint = log_likelihoods + np.log(weights)
    labels = np.argmax(joint, axis=1)
    probability = 1 / np.exp(joint - joint.max(axis=1, keepdims=True)).sum(axis=1)
    return States(labels.astype(np.int32), probability.astype(np.float32), log_likelihoods, tried)
