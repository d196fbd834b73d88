"""Species that are one molecule: found by what images of the one lack against the other's map, and by bringing their
maps onto each other, in any orientation and either hand."""

from itertools import combinations

import numpy as np

from ..likelihood.species_maps import Maps
from ..reconstruction.fsc import fsc_area
from ..reconstruction.map_alignment import align_maps
from .placement import Placement

FIRST_SHELL = 3
"""Shells below it agree between any two molecules of one size."""
SAME = 0.5
"""Mean FSC, from that shell to the maps' limit, from which two maps are taken for the same molecule."""
MISSED = 0.03
"""A species is missed if its images would lose this share of their log-likelihood, on average, without it."""
RIVALS = 0.25
"""Maps of two species are compared where one is the other's nearest rival, in which its images would lose the least,
and that is less than this share."""


def distinct(maps: Maps, lost: np.ndarray | None = None) -> list[int]:
    """The species without the less populated of every two whose maps agree.

    `lost` (S, S) is the share of their log-likelihood that images of one species lose in another (`lost_elsewhere`);
    without it all maps are compared with each other, which takes seconds for every two.
    """
    radius = int(maps.models[0][0].sphere.radius)
    volumes = maps.volumes(radius)
    close = np.ones((maps.n_species,) * 2, bool) if lost is None else _rivals(lost)
    dropped: set[int] = set()
    for first, second in combinations(np.argsort(-maps.populations), 2):
        if close[first, second] and not dropped & {first, second}:
            curve = align_maps(volumes[second], volumes[first]).curve[FIRST_SHELL - 1 :]
            if fsc_area(curve, radius - FIRST_SHELL + 1) > SAME:
                dropped.add(second)
    return [species for species in range(maps.n_species) if species not in dropped]


def _rivals(lost: np.ndarray) -> np.ndarray:
    """(S, S) bool, symmetric."""
    elsewhere = np.where(np.eye(len(lost), dtype=bool), np.inf, lost)
    nearest = (elsewhere == elsewhere.min(1, keepdims=True)) & (elsewhere < RIVALS)
    return nearest | nearest.T


def lost_elsewhere(placed: Placement, n_species: int) -> np.ndarray:
    """(S, S) share of their log-likelihood that images of one species (rows) lose in another, on average; 1 of a
    species without images."""
    lost = np.ones((n_species, n_species))
    for species in range(n_species):
        members = (placed.species == species) & np.isfinite(placed.score)
        if members.any() and placed.lag.shape[1] == n_species:
            lost[species] = placed.lag[members].mean(0) / max(float(placed.score[members].mean()), 1.0)
    return lost


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
