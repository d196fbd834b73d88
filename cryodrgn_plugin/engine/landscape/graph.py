"""The shortest way from particle to particle through a graph of neighbours (Zhong's thesis, 4.4.12).

Edges join particles closer than a threshold that gives `neighbors` of them on average, at most twice as many each, and
at least half as many however far, for the threshold leaves none where particles are few. Dijkstra's algorithm finds the
way. In a density graph an edge costs its length over the density along it, so that the cheapest way stays where
particles are (Fermat distance; Groisman, Jonckheere and Sapienza 2022): the path of a motion rather than the straight
line across a gap. Groups that no edge joins are joined by their shortest bridges, and how often a way crosses one is
said.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csr_array

LANDMARKS = 2000
"""Particles among which bridges between groups are looked for, beside the anchors."""
STEEPEST = 6.0
"""Power of the density at most: in many dimensions estimates of density are rough."""


@dataclass(frozen=True)
class Way:
    """From particle to particle."""

    particles: np.ndarray
    """(m,) indices, in order."""
    bridges: int
    """Steps between groups that the neighbour graph does not join."""


def graph_way(points: np.ndarray, anchors: np.ndarray, neighbors: int, by_density: bool, seed: int) -> Way:
    """The way over points (N, P) through `anchors` (A,), in order, ends included."""
    from scipy.sparse.csgraph import connected_components

    # What differs by rounding alone, as where the latent space has collapsed, is as good a distance as any.
    points = points.astype(np.float64) - points.mean(axis=0)
    points = points / (np.abs(points).max() or 1.0)
    graph, typical, power = neighbour_graph(points, neighbors, by_density)
    parts, group = connected_components(graph, directed=False)
    if parts > 1:
        graph = graph + _bridges(points, group, anchors, typical, power, seed)
    particles = _through(graph, anchors)
    return Way(particles, int((np.diff(group[particles]) != 0).sum()))


def neighbour_graph(points: np.ndarray, neighbors: int, by_density: bool) -> tuple[csr_array, float, float]:
    """The cost of each edge, (N, N) sparse and symmetric; the typical distance to the last neighbour; the power with
    which cost grows with the spacing along an edge (0 where cost is length)."""
    from scipy.spatial import cKDTree

    n = len(points)
    most = min(2 * neighbors, n - 1)
    # The first neighbour of a point is the point itself.
    distances, indices = (neighbours[:, 1:] for neighbours in cKDTree(points).query(points, most + 1))
    distances = np.maximum(distances, 1e-9 * max(distances.max(), 1e-30))
    threshold = np.partition(distances.ravel(), neighbors * n - 1)[neighbors * n - 1] if most > neighbors else np.inf
    near = distances <= threshold
    near[:, : max(neighbors // 2, 1)] = True
    a = np.repeat(np.arange(n), most).reshape(n, most)[near]
    b, cost = indices[near], distances[near]
    typical = float(np.median(distances[:, -1]))
    # The number of neighbours grows with distance to the power of the dimension (Levina and Bickel 2004).
    power = min(1 / max(np.log(distances[:, -1:] / distances[:, :-1]).mean(), 1e-6), STEEPEST) if by_density else 0.0
    cost = cost * (np.sqrt(distances[a, -1] * distances[b, -1]) / typical) ** power
    graph = csr_array((cost, (a, b)), shape=(n, n))
    return graph.maximum(graph.T), typical, float(power)


def _bridges(
    points: np.ndarray, group: np.ndarray, anchors: np.ndarray, typical: float, power: float, seed: int
) -> csr_array:
    """Edges of a minimum spanning tree over landmarks that join groups; a gap is as empty as it is wide."""
    from scipy.sparse.csgraph import minimum_spanning_tree
    from scipy.spatial.distance import cdist

    n = len(points)
    some = np.random.default_rng(seed).permutation(n)[:LANDMARKS]
    landmarks = np.unique(np.concatenate([anchors, some]))
    apart = cdist(points[landmarks], points[landmarks])
    # Particles in one place may be in two groups, and a distance of 0 is no edge of a tree.
    tree: coo_array = minimum_spanning_tree(np.maximum(apart, 1e-9 * max(apart.max(), 1e-30))).tocoo()
    a, b = landmarks[tree.row], landmarks[tree.col]
    across = group[a] != group[b]
    length = tree.data[across]
    edges = csr_array((length * (length / typical) ** power, (a[across], b[across])), shape=(n, n))
    return edges + edges.T


def _through(graph: csr_array, anchors: np.ndarray) -> np.ndarray:
    from scipy.sparse.csgraph import dijkstra

    before = dijkstra(graph, directed=False, indices=anchors[:-1], return_predecessors=True)[1]
    path = [int(anchors[0])]
    for leg, (start, end) in enumerate(itertools.pairwise(anchors)):
        way = [int(end)]
        while way[-1] != start:
            way.append(int(before[leg, way[-1]]))
        path += way[-2::-1]
    return np.array(path, np.int64)
