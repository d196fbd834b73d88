"""What species are of use for: what their images would lose without them."""

import numpy as np

from .placement import Placement

MISSED = 0.03
"""A species is missed if its images would lose this share of their log-likelihood, on average, without it."""


def missed(placed: Placement, n_species: int, fewest: int) -> list[int]:
    """The species that images would miss; of those without use the least is dropped first, then the others are asked
    again.

    A species of images that others explain as well, from maps that those images are not in, is none of its own.
    """
    left = list(range(n_species))
    while len(left) > 1:
        lag = placed.lag[:, left]
        own = lag.argmin(1)
        uses = [use(lag, placed.score, own, species, fewest) for species in range(len(left))]
        least = int(np.argmin(uses))
        if uses[least] > MISSED:
            break
        left.pop(least)
    return left


def use(lag: np.ndarray, score: np.ndarray, own: np.ndarray, species: int, fewest: int) -> float:
    """What images of a species would lose without it, as a share of their log-likelihood."""
    members = (own == species) & np.isfinite(score)
    if members.sum() < fewest:
        return 0.0
    others = np.delete(lag[members], species, axis=1).min(1) - lag[members, species]
    return float(others.mean() / max(float(score[members].mean()), 1.0))
