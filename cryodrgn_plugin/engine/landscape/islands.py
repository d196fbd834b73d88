"""Groups that stand apart: peaks of density between which it falls deep (ToMATo: Chazal et al. 2013, J. ACM 60, 41).

Density is estimated from the distance to the k-th neighbour. Particles are taken in from the densest on; each joins its
densest neighbour's group, and where two groups meet, the one with the lower peak is swallowed unless its peak is
`DEPTH` (in log density) above the meeting point. What is found does not depend on how many particles a group has, so
small states survive that variance-based clustering would give to their large neighbours.
"""

import numpy as np

NEIGHBOURS = 12
DEPTH = float(np.log(5.0))
"""A group stands apart when the density between it and any other falls below a fifth of its peak; estimates from 12
neighbours scatter by a third of a factor e, so chance seldom digs as deep."""
LEAST_SHARE = 1e-3
"""Smaller groups than this share of the particles (and than `NEIGHBOURS`) belong to the nearest other one: they would
be outliers that happen to lie together."""


def islands(points: np.ndarray) -> np.ndarray:
    """(N,) int label, from 0, of the island that each of points (N, P) is on; one island where nothing stands apart."""
    from scipy.spatial import cKDTree

    n = len(points)
    k = min(NEIGHBOURS, n - 1)
    if k < 2:
        return np.zeros(n, np.int64)
    distances, neighbours = cKDTree(points).query(points, k + 1)
    peak = _peaks(_log_density(distances[:, 1:]), neighbours[:, 1:])
    labels = np.unique(peak, return_inverse=True)[1].reshape(-1)
    return _without_small(points, labels, max(LEAST_SHARE * n, k))


def _log_density(distances: np.ndarray) -> np.ndarray:
    """(N,) up to a constant, from the distances (N, k) to the neighbours, in the dimension that the data have.

    The dimension is the maximum-likelihood estimate of Levina and Bickel (2004), one for all.
    """
    distances = np.maximum(distances, np.finfo(float).tiny)
    inverse = np.log(distances[:, -1:] / distances[:, :-1]).mean(axis=1)
    dimension = 1 / max(float(inverse.mean()), 1e-6)
    return -min(dimension, 20.0) * np.log(distances[:, -1])


def _peaks(density: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """(N,) index of the peak of each particle's group."""
    order = np.argsort(-density, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    # A forest: each particle points towards the peak of its group, a peak to itself, one not yet taken in to −1.
    peak = np.full(len(order), -1)

    def root(i: int) -> int:
        while peak[i] != i:
            # Skipping every other step on the way keeps later ways short.
            peak[i] = peak[peak[i]]
            i = peak[i]
        return i

    for i in order:
        higher = [j for j in neighbours[i] if rank[j] < rank[i]]
        if not higher:
            peak[i] = i
            continue
        peak[i] = own = root(min(higher, key=lambda j: rank[j]))
        for j in higher:
            other = root(j)
            low, high = (own, other) if rank[own] > rank[other] else (other, own)
            if low != high and density[low] < density[i] + DEPTH:
                peak[low] = own = high
    return np.array([root(i) for i in range(len(order))])


def _without_small(points: np.ndarray, labels: np.ndarray, least: float) -> np.ndarray:
    """Labels (N,) anew from 0, the particles of groups below `least` given to the nearest larger group."""
    from scipy.spatial import cKDTree

    sizes = np.bincount(labels)
    large = sizes[labels] >= least
    if not large.any():
        return np.zeros(len(labels), np.int64)
    labels = labels.copy()
    if not large.all():
        labels[~large] = labels[large][cKDTree(points[large]).query(points[~large])[1]]
    return np.unique(labels, return_inverse=True)[1].reshape(-1)
