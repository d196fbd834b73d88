"""Which particles stand for all: spread over the data as k-means centres, or as far from each other as can be."""

import warnings

import numpy as np

from .. import threads

MOST_FITTED = 20_000
"""Particles on which k-means and the search for far ones work, drawn at random when there are more."""


def drawn(n: int, most: int, seed: int, always: np.ndarray | None = None) -> np.ndarray:
    """Sorted indices of at most `most` of `n` particles, at random, `always` (m,) among them."""
    if n <= most:
        return np.arange(n)
    chosen = np.random.default_rng(seed).choice(n, most, replace=False)
    return np.unique(chosen if always is None else np.concatenate([always, chosen[: max(most - len(always), 0)]]))


def on_data_centres(points: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Sorted indices of the particles nearest to `count` k-means centres of points (N, P).

    This is the sketch of Zhong's thesis, 6.2.3. Fewer come back where centres share their nearest particle.
    """
    from scipy.spatial import cKDTree
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    if len(points) <= count:
        return np.arange(len(points))
    part = drawn(len(points), max(MOST_FITTED, 10 * count), seed)
    with threads.sums_in_one_order(), warnings.catch_warnings():
        # Separate states are a few points, of which fewer centres are enough.
        warnings.simplefilter("ignore", ConvergenceWarning)
        centres = KMeans(count, n_init=1, random_state=seed).fit(points[part]).cluster_centers_
    return np.unique(cKDTree(points).query(centres)[1])


def far_apart(points: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Sorted indices of `count` points of (N, P), each the farthest from those before (Gonzalez 1985), so that small
    groups far away are among them."""
    part = drawn(len(points), MOST_FITTED, seed)
    some = points[part].astype(np.float64)
    distance = ((some - some.mean(axis=0)) ** 2).sum(axis=1)
    chosen = []
    for _ in range(min(count, len(part))):
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, ((some - some[chosen[-1]]) ** 2).sum(axis=1))
    return np.unique(part[chosen])


def nearest(points: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(M,) index of the point of (N, P) nearest to each of `wanted` (M, P)."""
    return np.array([np.argmin(((points - target) ** 2).sum(axis=1)) for target in wanted], np.int64)
