"""Where the number of species is open: the larger of two that may be one molecule takes up the images of both, and they
are one where that loses nothing.

Two species can share a molecule by its views: each map is good for some and poor for the others, so that images of the
one would lose much in the other, and the maps do not agree. One map of all their images explains them as well as both.
"""

import numpy as np

from ..likelihood.linear_model import LinearModel
from ..likelihood.species_maps import Maps
from .outcome import Outcome
from .placement import Placement

CANDIDATES = 0.35
"""Species are tried as one where images of one would lose less than this share of their log-likelihood in the other."""
LOSES = 0.02
"""Share of the log-likelihood that one map of a pair may lose."""


def joined(lost: np.ndarray) -> np.ndarray:
    """(S,) int, the number of each species once every two that are nearest, each in one pair only, are one.

    `lost` (S, S) is the share of their log-likelihood that images of one species lose in another.
    """
    nearness = np.minimum(lost, lost.T) + np.diag(np.full(len(lost), np.inf))
    leader = np.arange(len(lost))
    while len(lost) > 1 and nearness.min() < CANDIDATES:
        first, second = sorted(divmod(int(nearness.argmin()), len(lost)))
        leader[second] = first
        nearness[[first, second]], nearness[:, [first, second]] = np.inf, np.inf
    return np.unique(leader, return_inverse=True)[1]


def largest(populations: np.ndarray, number: np.ndarray) -> list[int]:
    """Of each new species the most populated old one, as `number` (S,) counts them."""
    members = (np.flatnonzero(number == new) for new in range(number.max() + 1))
    return [int(old[populations[old].argmax()]) for old in members]


def scores_before(placed: Placement, number: np.ndarray) -> np.ndarray:
    """(S',) mean score of the images of each species as `number` (S,) counts them."""
    known = (placed.species >= 0) & np.isfinite(placed.score)
    of_image = number[placed.species[known]]
    counts = np.bincount(of_image, minlength=number.max() + 1)
    return np.bincount(of_image, placed.score[known], number.max() + 1) / np.maximum(counts, 1)


def chosen_joins(
    before: Maps, score: np.ndarray, outcome: Outcome, placed: Placement, number: np.ndarray
) -> tuple[Maps, Placement]:
    """The new maps where they explain their images as well as the old ones did, the old maps elsewhere.

    Parameters
    ----------
    before : maps of S species.
    score : (S',) mean score of the images of each new species under them.
    outcome : of S' species, which took up the images of those that they are made of.
    placed : images in the new species. Those of a pair that stays are put in its first, and may meet both.
    number : (S,) the new species of each old one.
    """
    members = [np.flatnonzero(number == new) for new in range(number.max() + 1)]
    least = np.array([1 - LOSES if len(old) == 2 else 1.0 for old in members])
    better = outcome.of_species >= least * score
    models: list[list[LinearModel]] = [[] for _ in before.models]
    populations, of_column = [], []
    for new, old in enumerate(members):
        share = before.populations[old]
        for all_of_half, mine, theirs in zip(models, before.models, outcome.maps.models, strict=True):
            all_of_half += [theirs[new]] if better[new] else [mine[species] for species in old]
        populations += [share.sum()] if better[new] else list(share)
        of_column += [new] * (1 if better[new] else len(old))
    first = np.unique(of_column, return_index=True)[1]
    maps = Maps(models, np.array(populations) / np.sum(populations), before.misfit)
    return maps, placed.spread(first, np.array(of_column))
