"""How surely each particle is of its species.

Where several species are looked for, an image is compared with their maps of the half-set that it is not in, and what
each lacks of the best one's log-likelihood is kept (`Placement.lag`). With the species' shares of the images for a
prior, that is the posterior of the species.
"""

import numpy as np

from .placement import Placement


def memberships(placed: Placement, populations: np.ndarray) -> np.ndarray:
    """(N, S) float32, how probable each species is for each particle; rows sum to 1, and none is more probable than the
    particle's own.

    Parameters
    ----------
    placed : its `species` are 0 … S − 1.
    populations : (S,). Shares of the images.
    """
    evidence = np.log(np.maximum(populations, 1e-6)) - placed.lag.astype(np.float64)
    evidence -= evidence.max(1, keepdims=True)
    # Poses were moved after species were last compared; a particle on the border stays where it was put.
    evidence[np.arange(len(evidence)), placed.species] = 0.0
    weights = np.exp(evidence)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)
