"""Where the number of species is open: each is split in two among its own images, and stays so unless that costs much.

What a pair of species explains is compared with what the one did, by the same images, each held against maps of the
half-set that it is not in. More maps fit noise no better so, and of one molecule two maps of half the images each
explain less. So do two young maps of two small molecules, for some rounds, than one old map of both: a pair may lose a
little, and whether both are needed is decided when some are dissolved (`dissolving`).
"""

import numpy as np

from ..likelihood.species_maps import Maps
from .outcome import Outcome
from .placement import Placement

COSTS = 0.12
"""Share of the log-likelihood that a pair may lose."""
FEWEST = 20
"""Images of each of a pair, in the round that judges it."""


def paying(whole: np.ndarray, pairs: Outcome, room: int) -> np.ndarray:
    """(S,) bool. Species whose pairs stay, those that gain most first, up to `room`.

    `whole` (S,) is the mean score of the same images before.
    """
    counts, scores = pairs.counts.reshape(-1, 2), pairs.of_species.reshape(-1, 2)
    together = (counts * scores).sum(1) / np.maximum(counts.sum(1), 1)
    gain = np.where(counts.min(1) >= FEWEST, together / np.maximum(whole, 1.0) - 1, -np.inf)
    order = np.argsort(-gain)
    best = np.zeros(len(gain), bool)
    best[order[: max(room, 0)]] = True
    return best & (gain > -COSTS)


def chosen_pairs(whole: Maps, pairs: Outcome, placed: Placement, chosen: np.ndarray) -> tuple[Maps, Placement]:
    """The species as they were, but those `chosen` (S,) as pairs; images of the others go back to what they came of."""
    counts = np.maximum(pairs.counts.reshape(-1, 2), 1)
    maps = whole.split_where(chosen, pairs.maps, counts[:, 0] / counts.sum(1))
    first = np.concatenate([[0], np.cumsum(1 + chosen)[:-1]])
    new = np.stack([first, first + chosen], axis=1).ravel()
    return maps, placed.renamed(new)
