"""Clusters of all particles in the space of volumes: islands first, then agglomeration inside them.

Agglomeration by variance alone gives a state of 0.3 % to a large neighbour, and a sample of a few hundred volumes
rarely holds one of it. So groups that stand apart in density are found first (`islands`), on at most `MOST_SEEN`
particles. What hangs together is divided by agglomeration (Zhong's thesis, 6.2.6) until there are as many clusters as
asked for; where there are more islands than that, the nearest are joined, whatever their size.
Separate states that a training found are clusters as they are.
"""

from dataclasses import dataclass

import numpy as np

from .. import threads
from ..analysis.found_states import FoundStates, at_states, nearest_members
from ..analysis.latent_clusters import in_order
from .agglomerate import divided
from .islands import islands
from .representatives import drawn

MOST_SEEN = 50_000
"""Particles on which islands are looked for, drawn at random when there are more; the others join their nearest."""
SMALL_GROUPS = 300
"""Small groups into which the particles are gathered before agglomeration."""


@dataclass(frozen=True)
class VolumeClusters:
    """A partition of N particles into k clusters in the space of volumes."""

    labels: np.ndarray
    """(N,) int32, 0 … k-1; neighbours in number are neighbours in the space."""
    centres: np.ndarray
    """(k,) int64: the particle nearest to the mean of each cluster."""
    apart: np.ndarray
    """(k,) bool: it hangs together with no other cluster. Separate states all stand apart."""
    posterior: np.ndarray | None = None
    """(N, k) float32: of separate states, how far each particle belongs to each."""

    @property
    def sizes(self) -> np.ndarray:
        """(k,) particles per cluster."""
        return np.bincount(self.labels, minlength=len(self.centres))

    def means(self, scores: np.ndarray) -> np.ndarray:
        """(k, P) average place of each cluster among scores (N, P), or the place of each separate state itself."""
        if self.posterior is not None:
            return at_states(self.posterior, scores)
        return np.stack([scores[self.labels == c].mean(axis=0) for c in range(len(self.centres))])


def state_clusters(scores: np.ndarray, found: FoundStates) -> VolumeClusters:
    """The separate states of particles at scores (N, P)."""
    labels = found.labels
    centres = nearest_members(scores, labels, at_states(found.posterior, scores))
    return VolumeClusters(labels, centres, np.ones(found.count, bool), found.posterior.astype(np.float32))


def cluster_volumes(scores: np.ndarray, clusters: int, linkage: str, seed: int) -> VolumeClusters:
    """Partition particles at scores (N, P) into `clusters`."""
    from scipy.spatial import cKDTree

    part = drawn(len(scores), MOST_SEEN, seed)
    sample = scores[part].astype(np.float64)
    island = islands(sample)
    small = _small_groups(sample, island, max(SMALL_GROUPS, 10 * clusters), seed)
    counts = np.bincount(small)
    means = np.stack([np.bincount(small, column) / counts for column in sample.T], axis=1)
    island_of = np.empty(len(counts), np.int64)
    island_of[small] = island
    cluster_of = divided(means, counts, island_of, clusters, linkage)
    labels = cluster_of[small]
    if len(part) < len(scores):
        labels = labels[cKDTree(sample).query(scores, workers=threads.available())[1]]
    return described(scores, labels, _alone(cluster_of, island_of))


def described(scores: np.ndarray, labels: np.ndarray, apart: np.ndarray) -> VolumeClusters:
    """Clusters with labels (N,) and which stand apart (k,), both renumbered so that neighbours follow each other."""
    k = len(apart)
    means = np.stack([scores[labels == c].mean(axis=0) for c in range(k)])
    order = in_order(labels, means, None)
    rank = np.empty(k, np.int32)
    rank[order] = np.arange(k)
    labels = rank[labels]
    return VolumeClusters(labels, centres_of(scores, labels, k), apart[order])


def centres_of(scores: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """(k,) the particle nearest to the mean of each of k clusters."""
    return nearest_members(scores, labels, np.stack([scores[labels == c].mean(axis=0) for c in range(k)]))


def _small_groups(points: np.ndarray, island: np.ndarray, count: int, seed: int) -> np.ndarray:
    """(N,) small group, from 0, of points (N, P): k-means inside each island, in number by its share."""
    from sklearn.cluster import MiniBatchKMeans

    group = np.zeros(len(points), np.int64)
    first = 0
    for name in np.unique(island):
        index = np.flatnonzero(island == name)
        k = min(max(round(count * len(index) / len(points)), 1), len(np.unique(points[index], axis=0)))
        if k > 1:
            with threads.sums_in_one_order():
                groups = MiniBatchKMeans(k, n_init=1, batch_size=4096, random_state=seed).fit_predict(points[index])
            groups = np.unique(groups, return_inverse=True)[1].reshape(-1)
        else:
            groups = np.zeros(len(index), np.int64)
        group[index] = first + groups
        first += int(groups.max()) + 1
    return group


def _alone(cluster_of: np.ndarray, island_of: np.ndarray) -> np.ndarray:
    """(k,) bool: the cluster shares no island with another one, and there are others."""
    k = int(cluster_of.max()) + 1
    shared = [len(np.unique(cluster_of[np.isin(island_of, island_of[cluster_of == c])])) > 1 for c in range(k)]
    return ~np.array(shared) if k > 1 else np.zeros(1, bool)
