"""Species that are one molecule: found by bringing their maps onto each other, in any orientation and either hand."""

from itertools import combinations

import numpy as np

from ..likelihood.species_maps import Maps
from ..reconstruction.fsc import fsc_area
from ..reconstruction.map_alignment import align_maps

FIRST_SHELL = 3
"""Shells below it agree between any two molecules of one size."""
SAME = 0.5
"""Mean FSC, from that shell to the maps' limit, from which two maps are taken for the same molecule."""


def distinct(maps: Maps) -> list[int]:
    """The species without the less populated of every two whose maps agree."""
    volumes, radius = maps.volumes(), maps.models[0][0].sphere.radius
    dropped: set[int] = set()
    for first, second in combinations(np.argsort(-maps.populations), 2):
        if not dropped & {first, second}:
            curve = align_maps(volumes[second], volumes[first]).curve[FIRST_SHELL - 1 :]
            if fsc_area(curve, int(radius) - FIRST_SHELL + 1) > SAME:
                dropped.add(second)
    return [species for species in range(maps.n_species) if species not in dropped]
