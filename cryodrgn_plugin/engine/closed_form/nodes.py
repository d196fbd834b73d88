"""A latent space of any shape as nodes in amplitude space, fitted to compressed images.

Each node is a point s_m of amplitudes with a population π_m; image i belongs to it in proportion to π_m exp ℓ_i(s_m),
where ℓ_i(s) = b_i·s − ½ sᵀ A_i s needs no image any more. Nodes are free: a curve, a sheet and separate states all come
out.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import log_softmax, logsumexp
from sklearn.cluster import KMeans

from .. import threads

RIDGE = 2.0
"""How much a node resists moving, in units of one image's information."""


@dataclass(frozen=True)
class Responsibilities:
    """`log_shares` (N, M): logarithm of how far each image belongs to each node, shares of an image sum to 1;
    `population` (M,), sums to 1.
    """

    log_shares: np.ndarray
    population: np.ndarray

    @cached_property
    def shares(self) -> np.ndarray:
        """(N, M)."""
        return np.exp(self.log_shares)


def log_likelihoods(gram: np.ndarray, inner: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """ℓ_i(s_m), (N, M), of compressed images A (N, C, C), b (N, C) at nodes (M, C)."""
    outer = (nodes[:, :, None] * nodes[:, None, :]).reshape(len(nodes), -1)
    return inner @ nodes.T - 0.5 * gram.reshape(len(gram), -1) @ outer.T


def responsibilities(scores: np.ndarray, population: np.ndarray, rounds: int = 1) -> Responsibilities:
    """Shares of each image from scores ℓ (N, M), with the populations brought up to date `rounds` times."""
    for _ in range(rounds):
        log_shares = log_softmax(scores + np.log(population), axis=1)
        population = (np.exp(log_shares).sum(0) + 1) / (len(log_shares) + len(population))
    return Responsibilities(log_shares, population)


def merged(found: Responsibilities, places: np.ndarray, count: int, seed: int) -> Responsibilities:
    """The same with `count` nodes: those that lie together at `places` (M, Q) become one."""
    count = min(count, len(np.unique(places, axis=0)))
    with threads.sums_in_one_order():
        which = KMeans(count, n_init=2, random_state=seed).fit(places, sample_weight=found.population).labels_
    members = np.eye(count)[which]
    with np.errstate(divide="ignore"):
        return Responsibilities(np.log(found.shares @ members), found.population @ members)


def evidence(scores: np.ndarray, population: np.ndarray) -> float:
    """Mean over images of log Σ_m π_m exp ℓ_i(s_m)."""
    return float(logsumexp(scores + np.log(population), axis=1).mean())


def fit_nodes(
    gram: np.ndarray, inner: np.ndarray, start: np.ndarray, count: int, rounds: int, seed: int
) -> tuple[Responsibilities, np.ndarray]:
    """Place `count` nodes by EM; returns how far images belong to them, and where they are, (M, C).

    Parameters
    ----------
    gram, inner : compressed images; channel 0 is the mean volume.
    start : (N, K) posterior means of the amplitudes, whose k-means centres the nodes start from.
    """
    count = min(count, len(np.unique(start, axis=0)))
    with threads.sums_in_one_order():
        centres = KMeans(count, n_init=2, random_state=seed).fit(start).cluster_centers_
    # Where nothing moves the bases are empty; then nodes stay where they are.
    ridge = max(RIDGE * np.trace(gram[:, 1:, 1:].mean(0)) / start.shape[1], 1e-9)
    flat_gram = gram[:, 1:, 1:].reshape(len(gram), -1)
    residual = inner[:, 1:] - gram[:, 1:, 0]
    population = np.full(count, 1 / count)
    for _ in range(rounds):
        found = responsibilities(log_likelihoods(gram, inner, _with_mean(centres)), population)
        population = found.population
        left = (found.shares.T @ flat_gram).reshape(count, *gram[0, 1:, 1:].shape) + ridge * np.eye(start.shape[1])
        right = found.shares.T @ residual + ridge * centres
        centres = np.linalg.solve(left, right[..., None])[..., 0]
    nodes = _with_mean(centres)
    return responsibilities(log_likelihoods(gram, inner, nodes), population), nodes


def _with_mean(centres: np.ndarray) -> np.ndarray:
    return np.concatenate([np.ones((len(centres), 1)), centres], axis=1)
