"""Where the number of species is open: some are dissolved, several at a time, and come back where the others, given
their images, do not explain them as well.

A molecule that is spread over several species has parts of itself, or some of its views, in each; every one of them
explains images of its own better than the others do, so that none would be missed, and their maps seldom agree. Whether
one is enough is known only once it has had the images of all. Images of a species that is dissolved go wherever they
suit best, so that one which was made of several molecules is dealt out among them.
"""

from dataclasses import replace

import numpy as np

from ..likelihood.species_maps import Maps
from .placement import Placement
from .twins import use

LOSES = 0.1
"""Share of their log-likelihood that images of a species may lose without it, beyond what images of the others do in
the same rounds; images of a molecule that no other species has lose a fifth and more."""


def expendable(placed: Placement, n_species: int, most: int) -> list[int]:
    """Up to `most` species, fewer than all, without which least is lost in all, a small one and one that is near others
    first; none is the nearest rival of one before it."""
    if not most:
        return []
    columns = placed.lag, placed.score, placed.species
    sizes = np.bincount(placed.species[placed.species >= 0], minlength=n_species)
    lost = [size * use(*columns, species, fewest=1) for species, size in enumerate(sizes)]
    chosen: list[int] = []
    for species in np.argsort(lost, kind="stable"):
        if len(chosen) < most and nearest_rival(placed, int(species)) not in chosen:
            chosen.append(int(species))
    return chosen


def nearest_rival(placed: Placement, species: int) -> int:
    """The other species that most images of one suit best, or −1 if it has none."""
    lag = placed.lag[placed.species == species].copy()
    lag[:, species] = np.inf
    return int(np.bincount(lag.argmin(1), minlength=lag.shape[1]).argmax()) if lag.size else -1


def lost_without(before: Placement, after: Placement, dissolved: np.ndarray) -> np.ndarray:
    """(S',) share of their log-likelihood that images of each of the `dissolved` (S',) species have lost, beyond what
    images of the other species have in the median; −∞ of a species whose images were not met again."""
    met = (before.species >= 0) & (after.species >= 0) & np.isfinite(before.score) & (after.score != before.score)
    species, n_species = before.species[met], before.lag.shape[1]
    scores = [np.bincount(species, placed.score[met], n_species) for placed in (before, after)]
    left = np.where(scores[0] > 0, scores[1] / np.where(scores[0] > 0, scores[0], 1.0), np.inf)
    others = np.delete(left, dissolved)
    usual = np.median(others[np.isfinite(others)]) if np.isfinite(others).any() else 1.0
    return 1 - left[dissolved] / usual


def brought_back(
    old: Maps, before: Placement, new: Maps, after: Placement, dissolved: np.ndarray
) -> tuple[Maps, Placement]:
    """Maps and images after the `dissolved` (S',) species are gone, but for those whose images have lost by it: these
    have their maps and images again, after all others."""
    back = dissolved[lost_without(before, after, dissolved) > LOSES]
    if not len(back):
        return new, after
    placed = replace(after, lag=np.concatenate([after.lag, before.lag[:, back]], axis=1))
    columns = [np.array(values) for values in (placed.rotations, placed.shifts_ang, placed.species, placed.score)]
    for number, species in enumerate(back, start=new.n_species):
        own = before.species == species
        for values, was in zip(columns, (before.rotations, before.shifts_ang, None, before.score), strict=True):
            values[own] = number if was is None else was[own]
        # What was compared meanwhile was compared without it.
        placed.lag[own] = 0
    rotations, shifts_ang, species, score = columns
    placed = replace(placed, rotations=rotations, shifts_ang=shifts_ang, species=species, score=score)
    return new.with_others(old, [int(species) for species in back]), placed
