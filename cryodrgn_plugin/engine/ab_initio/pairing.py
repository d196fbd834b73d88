"""Species that many images suit alike are taken in twos, whose images start anew as two species.

Two species may both be a mixture of the same two molecules. Neither starts better among its own images then, and no
third one is near. Together they have the images of both molecules, and of two of these even a random start often finds
both.
"""

import numpy as np

from .placement import Placement

LIKE = 10.0
"""Log-likelihood that an image may lack with a species and count for it by 1/e."""


def in_pairs(placed: Placement, n_species: int) -> list[int]:
    """All species, in an order in which those that are nearest follow one another two by two; the last may be alone."""
    near = overlap(placed, n_species)
    left, order = set(range(n_species)), []
    for flat in np.argsort(-near, axis=None, kind="stable"):
        one, other = divmod(int(flat), n_species)
        if one < other and one in left and other in left:
            order += [one, other]
            left -= {one, other}
    return order + sorted(left)


def overlap(placed: Placement, n_species: int) -> np.ndarray:
    """(S, S) share of the images of two species that suit the other one as well, between 0 and 1."""
    near = np.zeros((n_species, n_species))
    for species in range(n_species):
        near[species] = np.exp(-placed.lag[placed.species == species] / LIKE).sum(0)
    sizes = np.bincount(placed.species[placed.species >= 0], minlength=n_species)
    return (near + near.T) / np.maximum(sizes[:, None] + sizes, 1)
