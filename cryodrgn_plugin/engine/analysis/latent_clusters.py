"""Classes of particles, and k-means clusters of the latents with a real particle at each centre, in an order that
means something.

The centre of a cluster is its particle nearest to the mean, so that a map made there is one the data support ("on-data"
centres, Zhong's thesis, 4.4). Where the run found a curve, the mean is that of the members halfway along: the mean of
a bent cluster lies beside it, where hardly a particle is. Clusters are numbered along the curve, else so that
neighbours in number are neighbours in the latent space; the same seed gives the same numbers.
"""

import warnings
from dataclasses import dataclass

import numpy as np

from .. import threads

RESTARTS = 4
"""k-means runs from different starts, of which the best is kept."""


@dataclass(frozen=True)
class Clusters:
    """A partition of N particles into k clusters or separate states."""

    labels: np.ndarray
    """(N,) int32, 0 … k-1."""
    centres: np.ndarray
    """(k,) int64: index of the particle at the centre of each cluster, or nearest to each state."""
    points: np.ndarray
    """(k, Z) the latents that stand for each: of its centre, or of the state itself."""
    posterior: np.ndarray | None = None
    """(N, k) float32: of separate states, how far each particle belongs to each."""

    @property
    def sizes(self) -> np.ndarray:
        """(k,) particles per cluster."""
        return np.bincount(self.labels, minlength=len(self.centres))

    @property
    def probability(self) -> np.ndarray | None:
        """(N,) float32: that a particle is in its class, where classes are separate states."""
        return None if self.posterior is None else self.posterior.max(axis=1)


def kmeans(z: np.ndarray, k: int, *, seed: int, along: np.ndarray | None = None) -> Clusters:
    """Partition z (N, Z) into k clusters, or into as many as there are points that can be told apart.

    Parameters
    ----------
    z : (N, Z), not empty.
    k : number of clusters.
    seed : of the starts.
    along : (N,) position along a curve; clusters are numbered by its median in them. None: by similarity.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    distinct = len(np.unique(z[: 100 * k], axis=0))
    # The first ones nearly always have enough; all are looked at only where they have not.
    k = k if distinct >= k else min(k, len(np.unique(z, axis=0)))
    with threads.sums_in_one_order(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit = KMeans(k, n_init=RESTARTS, random_state=seed).fit(z)
    # Points that differ by less than rounding are one, and leave clusters without any.
    kept, labels = np.unique(fit.labels_, return_inverse=True)
    k, labels, means = len(kept), labels.reshape(-1), fit.cluster_centers_[kept]
    rank = np.empty(k, np.int32)
    rank[in_order(labels, means, along)] = np.arange(k)
    labels = rank[labels]
    members = [np.flatnonzero(labels == c) for c in range(k)]
    if along is not None:
        members = [_halfway(index, along) for index in members]
    centres = np.array([_nearest_to_mean(z, index) for index in members], np.int64)
    return Clusters(labels, centres, z[centres])


def fewer_than_asked(found: int, asked: int) -> str:
    """That there are fewer clusters than were asked for, and why, in words; empty where there are not."""
    if found >= asked:
        return ""
    places = "at one point" if found == 1 else f"at only {found} points that can be told apart"
    clusters = "1 cluster" if found == 1 else f"{found} clusters"
    return f"{clusters} and not {asked}: particles lie {places} of the latent space."


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
