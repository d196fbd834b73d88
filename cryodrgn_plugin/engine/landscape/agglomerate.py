"""Agglomerative clustering of weighted points: Ward's linkage or the average, as if each point were as many particles.

Particles are first gathered into a few hundred small groups (k-means), whose means and counts stand for them; merging
those gives what merging the particles would, but for what happens inside a small group.
"""

import numpy as np


def merge_tree(points: np.ndarray, counts: np.ndarray, linkage: str) -> tuple[np.ndarray, np.ndarray]:
    """Merge points (M, P) with `counts` (M,) pair by pair, the nearest first, by Lance and Williams' recurrence.

    linkage : "ward", whose height is the rise in the sum of squares inside groups, or "average", the mean distance
    between particles of the two.

    Returns
    -------
    pairs (M − 1, 2) of numbers whose groups were joined, the first keeping its number, and heights (M − 1,), rising.
    """
    size = counts.astype(np.float64).copy()
    squared = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    if linkage == "ward":
        apart = squared * (size[:, None] * size[None]) / (size[:, None] + size[None])
    else:
        apart = np.sqrt(squared)
    np.fill_diagonal(apart, np.inf)
    pairs, heights = [], []
    for _ in range(len(points) - 1):
        a, b = sorted(np.unravel_index(np.argmin(apart), apart.shape))
        height = apart[a, b]
        pairs.append((a, b))
        heights.append(height)
        if linkage == "ward":
            total = size + size[a] + size[b]
            merged = ((size + size[a]) * apart[a] + (size + size[b]) * apart[b] - size * height) / total
        else:
            merged = (size[a] * apart[a] + size[b] * apart[b]) / (size[a] + size[b])
        apart[a], apart[:, a] = merged, merged
        apart[b], apart[:, b], apart[a, a] = np.inf, np.inf, np.inf
        size[a] += size[b]
    return np.array(pairs, np.int64).reshape(-1, 2), np.array(heights)


def divided(points: np.ndarray, counts: np.ndarray, island: np.ndarray, clusters: int, linkage: str) -> np.ndarray:
    """Cluster (M,) from 0 of weighted points (M, P): islands (M,) divided until there are `clusters` in all.

    All islands are divided at one height. Where there are more islands than `clusters` they are joined, the nearest
    first whatever their size, so that a small one far away is kept.
    """
    names = np.unique(island)
    if len(names) >= clusters:
        means = [np.average(points[island == name], axis=0, weights=counts[island == name]) for name in names]
        joined = _cut([merge_tree(np.array(means), np.ones(len(names)), "average")], [np.arange(len(names))], clusters)
        return joined[np.searchsorted(names, island)]
    index = [np.flatnonzero(island == name) for name in names]
    return _cut([merge_tree(points[own], counts[own], linkage) for own in index], index, clusters)


def _cut(trees: list[tuple[np.ndarray, np.ndarray]], index: list[np.ndarray], clusters: int) -> np.ndarray:
    """Group (M,) of each point when the lowest joins of all trees are made until `clusters` groups are left.

    The leaves of each tree are the points at its `index`.
    """
    joins = [
        (height, own[a], own[b])
        for (pairs, heights), own in zip(trees, index, strict=True)
        for (a, b), height in zip(pairs, heights, strict=True)
    ]
    joins.sort(key=lambda join: join[0])
    group = np.arange(sum(map(len, index)))
    # The group of a's takes in that of b.
    for _, a, b in joins[: max(len(group) - clusters, 0)]:
        group[group == group[b]] = group[a]
    return np.unique(group, return_inverse=True)[1].reshape(-1)
