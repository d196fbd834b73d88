"""How many particles are in each state, and how sure that is: populations with bootstrap intervals.

Three ways of counting. `counted` takes a label per particle, as they are. `most_likely` takes the likelihood of each
image under each state and finds the populations that make all images together most likely, so that images which cannot
be told apart do not pull the populations towards each other. `expected` takes the posteriors that a training has left,
whose means those populations are. All are bootstrapped: particles are drawn anew, with
replacement, and counted again (Efron's percentile interval). Copies of one image are one observation: each counts for
its share of it, and they are drawn together.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..errors import DataError

LEVEL = 0.95
"""Share of repeated experiments whose interval would hold the truth."""
REPLICATES = 1000
MOST_RESAMPLED = 20_000
"""Particles that the bootstrap of `most_likely` works on; above it the spread is that of a draw, scaled to all."""
ROUNDS = 300
SETTLED = 1e-8
"""Largest change of a population at which EM ends."""
FARTHEST = 100.0
"""Steps that are taken at once, at most."""
FAINTEST = 1e-30
"""Posterior below which a state is out of the question."""


@dataclass(frozen=True)
class Populations:
    """Share of the particles in each of M states."""

    share: np.ndarray
    """(M,), sums to 1."""
    low: np.ndarray
    """(M,) lower end of the interval."""
    high: np.ndarray
    """(M,) upper end of the interval."""
    level: float
    """Confidence level of the intervals."""
    particles: int
    """How many particles were counted."""


def counted(
    labels: np.ndarray,
    n_states: int,
    *,
    groups: np.ndarray | None = None,
    shown: np.ndarray | None = None,
    level: float = LEVEL,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Populations:
    """Populations of labels (N,) from 0 to `n_states` − 1.

    `groups` (N,) names what was drawn together, such as the micrograph of each particle: whole groups are then drawn
    anew, because particles of one micrograph may be more alike than chance. Without it particles are drawn one by one.
    `shown` (N,) is equal for copies of one image, which together count once.

    Raises DataError when a label is outside its range or there are no particles.
    """
    labels = np.asarray(labels)
    if not len(labels) or labels.min() < 0 or labels.max() >= n_states:
        raise DataError(f"Labels of particles must lie between 0 and {n_states - 1}, and there must be particles.")
    rng = np.random.default_rng(seed)
    weights = _once(shown, len(labels))
    share = label_counts(labels, n_states, shown) / weights.sum()
    copied = bool((weights < 1).any())
    if groups is None and not copied:
        drawn = rng.multinomial(len(labels), share, size=replicates) / len(labels)
    else:
        drawn = _whole_groups(labels, weights, shown if groups is None else groups, n_states, replicates, rng)
    return Populations(share, *_interval(drawn, level), level, round(weights.sum()))


def most_likely(
    scores: np.ndarray,
    *,
    shown: np.ndarray | None = None,
    level: float = LEVEL,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Populations:
    """Populations of states from the log-likelihood of each image under each state, (N, M), up to a constant per image.

    Maximum likelihood by EM, π_m ← mean over images of π_m L_im / Σ π L, which has one maximum. `shown` (N,) is equal
    for copies of one image, which together count once.

    Raises DataError when a score is not a number or there are no particles.
    """
    scores = np.asarray(scores, np.float64)
    if not scores.size or not np.isfinite(scores).all():
        raise DataError("Populations need a finite log-likelihood of every particle under every state.")
    likelihood = np.exp(scores - scores.max(axis=1, keepdims=True))
    n, m = likelihood.shape
    weights = _once(shown, n)
    share = _settle(likelihood, weights[:, None], np.full((m, 1), 1 / m))[:, 0]
    rng = np.random.default_rng(seed)
    alike = np.arange(n) if shown is None else np.unique(shown, return_inverse=True)[1].reshape(-1)
    objects, part = int(alike.max()) + 1, np.arange(n)
    if objects > MOST_RESAMPLED:
        part = _members(alike, rng.choice(objects, MOST_RESAMPLED, replace=False))
    some = _Observations(likelihood[part], weights[part], pd.factorize(alike[part])[0])
    centre = share if len(part) == n else _settle(some.likelihood, some.weights[:, None], share[:, None])[:, 0]
    drawn = np.concatenate([_resampled(some, centre, count, rng) for count in _blocks(replicates)])
    # The spread of an estimate falls with the root of the number of particles.
    drawn = share + (drawn - centre) * np.sqrt(min(objects, MOST_RESAMPLED) / objects)
    return Populations(share, *_interval(np.clip(drawn, 0, 1), level), level, objects)


def expected(
    posterior: np.ndarray,
    *,
    shown: np.ndarray | None = None,
    level: float = LEVEL,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Populations:
    """Populations of states as the mean of posteriors (N, M), whose rows sum to 1.

    A posterior is proportional to population times likelihood, so likelihoods are known up to a constant, and the
    interval has the spread of what is `most_likely` when images are drawn anew. `shown` as there.
    """
    counts = effective_counts(posterior, shown)
    share = counts / counts.sum()
    scores = np.log(np.maximum(posterior, FAINTEST)) - np.log(np.maximum(share, FAINTEST))
    likely = most_likely(scores, shown=shown, level=level, replicates=replicates, seed=seed)
    low, high = (np.clip(share + end - likely.share, 0, 1) for end in (likely.low, likely.high))
    return Populations(share, low, high, level, likely.particles)


def effective_counts(posterior: np.ndarray, shown: np.ndarray | None) -> np.ndarray:
    """(M,) how many particles are in each state, by posteriors (N, M); copies, equal in `shown` (N,), count once."""
    return _once(shown, len(posterior)) @ posterior.astype(np.float64)


def label_counts(labels: np.ndarray, n_states: int, shown: np.ndarray | None) -> np.ndarray:
    """(M,) how many particles have each label (N,) from 0; copies, equal in `shown` (N,), count once."""
    return np.bincount(labels, _once(shown, len(labels)), n_states)


@dataclass(frozen=True)
class _Observations:
    """n images with their likelihood (n, M), what each counts (n,), and which observation it is of, (n,) from 0."""

    likelihood: np.ndarray
    weights: np.ndarray
    observation: np.ndarray


def _members(alike: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Places of all images (N,) of the observations `chosen`, observation by observation in their order."""
    order = np.argsort(alike, kind="stable")
    starts = np.searchsorted(alike[order], np.arange(int(alike.max()) + 2))
    return np.concatenate([order[starts[k] : starts[k + 1]] for k in chosen])


def _once(shown: np.ndarray | None, n: int) -> np.ndarray:
    """(n,) what each image counts: 1 over how many show the same."""
    if shown is None:
        return np.ones(n)
    _, which, times = np.unique(shown, return_inverse=True, return_counts=True)
    return 1 / times[which.reshape(-1)]


def _whole_groups(labels, weights, groups, n_states: int, replicates: int, rng: np.random.Generator) -> np.ndarray:
    """(R, M) populations when whole groups are drawn anew."""
    number = np.unique(groups, return_inverse=True)[1].reshape(-1)
    n_groups = int(number.max()) + 1
    # (groups, M) particles of each group in each state, counted at one index for both.
    table = np.bincount(number * n_states + labels, weights, n_groups * n_states).reshape(n_groups, n_states)
    times = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=replicates)
    totals = times @ table
    return totals / totals.sum(axis=1, keepdims=True)


def _resampled(some: _Observations, start: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, M) populations of as many draws of the observations with replacement."""
    n = int(some.observation.max()) + 1
    times = np.stack([np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(count)], axis=1)
    drawn = times[some.observation] * some.weights[:, None]
    return _settle(some.likelihood, drawn, np.repeat(start[:, None], count, axis=1)).T


def _settle(likelihood: np.ndarray, times: np.ndarray, population: np.ndarray) -> np.ndarray:
    """EM for R weighted draws at once: likelihood (N, M), times drawn (N, R), populations (M, R) to start from.

    States that images hardly tell apart settle slowly; two steps are therefore taken on together along the curve that
    they make (SQUAREM: Varadhan and Roland, Scand. J. Statist. 35, 2008).
    """
    total = times.sum(axis=0)

    def step(before: np.ndarray) -> np.ndarray:
        return before * (likelihood.T @ (times / (likelihood @ before))) / total

    # A population of exactly 0 could never rise again.
    least = 1 / (1000 * len(likelihood))
    population = np.maximum(population, least)
    population = population / population.sum(axis=0)
    for _ in range(ROUNDS):
        once = step(population)
        twice = step(once)
        if np.abs(twice - once).max() < SETTLED:
            break
        change, turn = once - population, (twice - once) - (once - population)
        reach = np.linalg.norm(change, axis=0) / np.maximum(np.linalg.norm(turn, axis=0), 1e-300)
        reach = np.clip(reach, 1, FARTHEST)
        ahead = np.maximum(population + 2 * reach * change + reach**2 * turn, least)
        population = step(ahead / ahead.sum(axis=0))
    return twice


def _blocks(replicates: int, size: int = 100) -> list[int]:
    return [min(size, replicates - start) for start in range(0, replicates, size)]


def _interval(drawn: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high
