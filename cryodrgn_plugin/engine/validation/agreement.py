"""How far two placings of the same particles agree, whatever the axes of their latent spaces.

Latent axes have no meaning by themselves, so two spaces are compared by their canonical variates: the directions in
each that correlate best with each other (Hotelling 1936). What correlates no better than after shuffling the particles
is left out. A particle's confidence is how much nearer its two places are to each other than places of different
particles are: 1 when they coincide, 0 when they are no nearer than chance.
"""

from dataclasses import dataclass

import numpy as np

LEAST_VARIANCE = 1e-6
"""Share of the largest variance below which a latent direction is constant."""
SHUFFLES = 50
MOST_SHUFFLED = 5000
"""Particles on which the chance level is found."""
ALIKE = 0.999
"""Correlations above this weigh no more."""


@dataclass(frozen=True)
class Agreement:
    """Two placings of N particles in K common directions, the best correlated first."""

    correlation: np.ndarray
    """(K,) canonical correlations."""
    chance: float
    """Correlation that shuffled particles reach in one of twenty cases, in the best direction."""
    first: np.ndarray
    """(N, K) canonical variates of the first placing, of unit variance."""
    second: np.ndarray
    """(N, K) of the second."""

    @property
    def shared(self) -> int:
        """Directions that correlate better than chance."""
        return int((self.correlation > self.chance).sum())

    def confidence(self) -> np.ndarray:
        """(N,) in [0, 1]; 0 for all where nothing is shared."""
        k = self.shared
        if not k:
            return np.zeros(len(self.first))
        rho = np.minimum(self.correlation[:k], ALIKE)
        weight = rho**2 / (1 - rho**2)
        a, b = self.first[:, :k], self.second[:, :k]
        apart = (a - b) ** 2 @ weight
        # Squared distance to a random other particle, whose place has mean 0 and variance 1.
        by_chance = (a**2 + b**2) @ weight / 2 + weight.sum()
        return np.clip(1 - apart / by_chance, 0, 1)


def agreement(first: np.ndarray, second: np.ndarray, seed: int = 0, distinct: np.ndarray | None = None) -> Agreement:
    """Compare placings (N, Z) and (N, Z′) of the same particles.

    `distinct` are the numbers of those that are no copies of others, from which chance is found; None for all.
    """
    a, b = _white(first), _white(second)
    distinct = np.arange(len(a)) if distinct is None else distinct
    left, rho, right = np.linalg.svd(a.T @ b / len(a), full_matrices=False)
    return Agreement(np.clip(rho, 0, 1), _chance(a[distinct], b[distinct], seed), a @ left, b @ right.T)


def _white(z: np.ndarray) -> np.ndarray:
    """(N, K) orthogonal directions of unit variance that span what varies of z; K = 0 where nothing does."""
    centred = z - z.mean(axis=0, dtype=np.float64)
    variance, axes = np.linalg.eigh(centred.T @ centred / max(len(z), 1))
    keep = variance > max(LEAST_VARIANCE * variance.max(initial=0), 1e-12)
    return centred @ axes[:, keep] / np.sqrt(variance[keep])


def _chance(a: np.ndarray, b: np.ndarray, seed: int) -> float:
    """95th percentile of the best canonical correlation after shuffling; scaled from a part when there are many."""
    if not a.shape[1] or not b.shape[1]:
        return 1.0
    rng = np.random.default_rng([seed, 12])
    n = min(len(a), MOST_SHUFFLED)
    part = rng.permutation(len(a))[:n]
    best = [np.linalg.norm(a[part].T @ b[rng.permutation(part)] / n, 2) for _ in range(SHUFFLES)]
    return float(np.quantile(best, 0.95) * np.sqrt(n / len(a)))
