"""How alike two latent spaces of the same particles are, whatever their axes, scales and numbers of dimensions.

Both measures look at neighbours only. Neighbourhood similarity is the share of a particle's nearest neighbours in one
space that are its neighbours in the other too. Information imbalance Δ(A → B) is the mean rank in B of the nearest
neighbour in A, scaled so that 0 means that A predicts B and 1 that it says nothing of it; a space that merges what the
other keeps apart has the larger Δ to it (Glielmo et al., PNAS Nexus 2022).
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

MOST = 3000
"""Particles among which neighbours are looked for, drawn at random when there are more: distances of all pairs."""


@dataclass(frozen=True)
class LatentComparison:
    """`similarity` in [0, 1] against `by_chance`; `a_to_b` and `b_to_a` information imbalances in about [0, 1]."""

    similarity: float
    by_chance: float
    a_to_b: float
    b_to_a: float
    neighbors: int
    compared: int
    """Particles."""


def compare_latents(a: np.ndarray, b: np.ndarray, neighbors: int = 20, seed: int = 0) -> LatentComparison:
    """Compare positions a (N, P) and b (N, Q) of the same particles, row by row; P and Q may differ."""
    n = len(a)
    chosen = np.arange(n) if n <= MOST else np.sort(np.random.default_rng(seed).choice(n, MOST, replace=False))
    k = max(min(neighbors, len(chosen) - 2), 1)
    rank_a, rank_b = (_ranks(np.asarray(space, np.float64)[chosen], seed) for space in (a, b))
    near_a, near_b = rank_a <= k, rank_b <= k
    return LatentComparison(
        similarity=float((near_a & near_b).sum() / near_a.sum()),
        by_chance=k / (len(chosen) - 1),
        a_to_b=_imbalance(rank_a, rank_b),
        b_to_a=_imbalance(rank_b, rank_a),
        neighbors=k,
        compared=len(chosen),
    )


def _imbalance(from_ranks: np.ndarray, to_ranks: np.ndarray) -> float:
    return float(2 / len(from_ranks) * to_ranks[from_ranks == 1].mean())


def _ranks(positions: np.ndarray, seed: int) -> np.ndarray:
    """(N, N) rank of particle j among the neighbours of i, from 1; a particle's rank to itself is past all others.

    Particles at one distance are ranked at random.
    """
    n = len(positions)
    distance = cdist(positions, positions)
    np.fill_diagonal(distance, np.inf)
    shuffled = np.random.default_rng(seed).permutation(n)
    order = shuffled[np.argsort(distance[:, shuffled], axis=1, kind="stable")]
    ranks = np.empty((n, n), dtype=np.int32)
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(1, n + 1, dtype=np.int32), (n, n)), axis=1)
    return ranks
