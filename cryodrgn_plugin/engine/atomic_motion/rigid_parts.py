"""Which beads move as one: rigid parts, from places and occupancies in several maps.

Beads belong together whose distance does not vary from map to map and whose occupancies go together: the graph of

    exp(−var |r_i − r_j| / 2σ² − mean (o_i − o_j)² / 2τ²)

is cut by spectral clustering (von Luxburg 2007) into 1, 2, … parts. Then beads are dealt out anew among the rigid
motions that the parts have, until nothing changes: each to that which explains its places best, at a price for every
neighbour in its chain that is in another part. How many parts there are is not decided here but by maps that the parts
were not fitted to (`part_number`).
"""

import numpy as np

from ..simulate.motions import best_fit

SAME_ANG = 1.5
"""σ: by how much distances within a part vary, for places have errors and parts bend."""
SAME_OCCUPANCY = 0.25
"""τ, likewise."""
CHAIN_BONUS = 2.0
"""What two neighbours in a chain gain by being in one part, in units of the log-likelihood of a place."""
ROUNDS = 20
SMALLEST = 12
"""Beads of a part."""


def candidate_parts(
    reference_ang: np.ndarray,
    places_ang: np.ndarray,
    occupancy: np.ndarray,
    share: np.ndarray,
    chain: np.ndarray,
    most: int,
) -> list[np.ndarray]:
    """Labels (n,) for 1 to `most` parts, from 0 by falling size; fewer where parts would be too small.

    Parameters
    ----------
    reference_ang : (n, 3) the beads in the model. places_ang (M, n, 3), occupancy (M, n): in each of M maps.
    share : (M,) weight of each map.
    chain : (n,) the chain of each bead, in whose order they are.
    """
    from sklearn.cluster import SpectralClustering

    affinity = affinities(places_ang, occupancy, share)
    together = np.flatnonzero(chain[1:] == chain[:-1])
    affinity[together, together + 1] = affinity[together + 1, together] = 1.0
    found = [np.zeros(len(reference_ang), dtype=int)]
    for count in range(2, most + 1):
        if count * SMALLEST > len(reference_ang):
            break
        cut = SpectralClustering(count, affinity="precomputed", assign_labels="kmeans", random_state=0)
        labels = dealt_out(cut.fit_predict(affinity), reference_ang, places_ang, occupancy, share, chain)
        if np.bincount(labels).min() >= SMALLEST and labels.max() + 1 == count:
            found.append(np.argsort(np.argsort(-np.bincount(labels), kind="stable"))[labels])
    return found


def affinities(places_ang: np.ndarray, occupancy: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(n, n) the graph of the module. Distances of beads that are not there say nothing, and count by occupancy."""
    total, first, second = 0.0, 0.0, 0.0
    apart = np.zeros((places_ang.shape[1],) * 2)
    for places, there, weight in zip(places_ang, occupancy, share, strict=True):
        distance = np.linalg.norm(places[:, None] - places, axis=2)
        counted = weight * there[:, None] * there + 1e-9
        total, first, second = total + counted, first + counted * distance, second + counted * distance**2
        apart += weight * np.square(there[:, None] - there)
    variance = np.maximum(second / total - (first / total) ** 2, 0)
    return np.exp(-variance / (2 * SAME_ANG**2) - apart / share.sum() / (2 * SAME_OCCUPANCY**2))


def dealt_out(
    labels: np.ndarray,
    reference_ang: np.ndarray,
    places_ang: np.ndarray,
    occupancy: np.ndarray,
    share: np.ndarray,
    chain: np.ndarray,
) -> np.ndarray:
    """Labels (n,) after beads have gone to the rigid motion that explains their places and occupancies best."""
    alike = chain[1:] == chain[:-1]
    for _ in range(ROUNDS):
        labels = np.unique(labels, return_inverse=True)[1]
        price = np.stack(
            [
                _unexplained(labels == part, reference_ang, places_ang, occupancy, share)
                for part in range(labels.max() + 1)
            ],
            axis=1,
        )
        moved = labels.copy()
        for bead in range(len(labels)):
            kept = price[bead].copy()
            for other in (bead - 1, bead + 1):
                if 0 <= other < len(labels) and alike[min(bead, other)]:
                    kept[moved[other]] -= CHAIN_BONUS
            moved[bead] = int(np.argmin(kept))
        if np.array_equal(moved, labels) or len(np.unique(moved)) < len(np.unique(labels)):
            return labels
        labels = moved
    return labels


def rigid_motions(
    members: np.ndarray, reference_ang: np.ndarray, places_ang: np.ndarray, occupancy: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rotation (3, 3) and translation (3,) of some beads (n,) in each of M maps, beads counted by occupancy."""
    motions = []
    for places, there in zip(places_ang, occupancy, strict=True):
        counted = members & (there > there[members].max() / 2)
        counted = counted if counted.sum() >= 3 else members
        motions.append(best_fit(reference_ang[counted], places[counted]))
    return motions


def _unexplained(
    members: np.ndarray, reference_ang: np.ndarray, places_ang: np.ndarray, occupancy: np.ndarray, share: np.ndarray
) -> np.ndarray:
    """(n,) negative log-likelihood of every bead under the motion and occupancy of a part."""
    total = np.zeros(len(reference_ang))
    motions = rigid_motions(members, reference_ang, places_ang, occupancy)
    for (rotation, shift), places, there, weight in zip(motions, places_ang, occupancy, share, strict=True):
        missed = np.square(reference_ang @ rotation.T + shift - places).sum(axis=1) / SAME_ANG**2
        absent = np.square(there - np.median(there[members])) / SAME_OCCUPANCY**2
        total += weight * (there * missed + absent) / 2
    return total / share.sum() * len(share)
