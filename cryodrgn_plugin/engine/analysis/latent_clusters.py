"""k-means clusters of the latents, with a real particle at each centre, in an order that means something.

The centre of a cluster is its particle nearest to the mean, so that a map made there is one the data support ("on-data"
centres, Zhong's thesis, 4.4). Where the run found a curve, the mean is that of the members halfway along: the mean of
a bent cluster lies beside it, where hardly a particle is. Clusters are numbered along the curve, else so that
neighbours in number are neighbours in the latent space; the same seed gives the same numbers.
"""

from dataclasses import dataclass

import numpy as np

from .. import threads
from ..errors import DataError

RESTARTS = 4
"""k-means runs from different starts, of which the best is kept."""


@dataclass(frozen=True)
class Clusters:
    """A partition of N particles into k clusters."""

    labels: np.ndarray
    """(N,) int32, 0 … k-1."""
    centres: np.ndarray
    """(k,) int64: index of the particle at the centre of each cluster."""

    @property
    def sizes(self) -> np.ndarray:
        """(k,) particles per cluster."""
        return np.bincount(self.labels, minlength=len(self.centres))


def kmeans(z: np.ndarray, k: int, *, seed: int, along: np.ndarray | None = None) -> Clusters:
    """Partition z (N, Z) into k clusters, or fewer where points differ by rounding alone.

    Parameters
    ----------
    z : (N, Z).
    k : number of clusters.
    seed : of the starts.
    along : (N,) position along a curve; clusters are numbered by its median in them. None: by similarity.

    Raises
    ------
    DataError : fewer than k distinct points.
    """
    from sklearn.cluster import KMeans

    distinct = len(np.unique(z[: 100 * k], axis=0))
    # The first ones nearly always have enough; all are looked at only where they have not.
    distinct = distinct if distinct >= k else len(np.unique(z, axis=0))
    if distinct < k:
        raise DataError(f"{k} clusters were asked for, but there are only {distinct} different latents; ask for fewer.")
    with threads.sums_in_one_order():
        fit = KMeans(k, n_init=RESTARTS, random_state=seed).fit(z)
    filled, labels = np.unique(fit.labels_, return_inverse=True)
    means, k = fit.cluster_centers_[filled], len(filled)
    rank = np.empty(k, np.int32)
    rank[in_order(labels, means, along)] = np.arange(k)
    labels = rank[labels]
    members = [np.flatnonzero(labels == c) for c in range(k)]
    if along is not None:
        members = [_halfway(index, along) for index in members]
    return Clusters(labels, np.array([_nearest_to_mean(z, index) for index in members], np.int64))


def in_order(labels: np.ndarray, means: np.ndarray, along: np.ndarray | None) -> np.ndarray:
    """Old numbers of the clusters with `labels` (N,) and `means` (k, Z) in their new order; see `kmeans`."""
    k = len(means)
    if along is not None:
        return np.argsort([np.median(along[labels == c]) for c in range(k)], kind="stable")
    if k < 3:
        order = np.arange(k)
    else:
        from scipy.cluster.hierarchy import leaves_list, linkage

        order = leaves_list(linkage(means, "average", optimal_ordering=True))
    return order if _first_axis(means)[order[0]] <= _first_axis(means)[order[-1]] else order[::-1]


def _first_axis(means: np.ndarray) -> np.ndarray:
    """Position of each centre along their first principal axis, which fixes the direction of the numbering."""
    from .embed import principal_components

    return principal_components(means).scores[:, 0]


def _halfway(index: np.ndarray, along: np.ndarray) -> np.ndarray:
    """The third of the particles `index` (at least one) that lies in the middle of them along the curve."""
    ordered = index[np.argsort(along[index], kind="stable")]
    half_width = len(index) // 6
    middle = len(index) // 2
    return ordered[middle - half_width : middle + half_width + 1]


def _nearest_to_mean(z: np.ndarray, index: np.ndarray) -> int:
    return int(index[np.argmin(((z[index] - z[index].mean(axis=0)) ** 2).sum(axis=1))])
