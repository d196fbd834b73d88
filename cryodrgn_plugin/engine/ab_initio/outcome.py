"""What a round of the search for poses gave."""

from dataclasses import dataclass

import numpy as np

from ..likelihood.species_maps import Maps


@dataclass(frozen=True)
class Outcome:
    """What a round gave: new maps, and the mean score of the images it used, of all and of each species (S,), with the
    number of each species' images (S,)."""

    maps: Maps
    score: float
    of_species: np.ndarray
    counts: np.ndarray

    def of_families(self, family: np.ndarray) -> np.ndarray:
        """(S,) mean score of the images of each species with its family, `family` (S,) by number."""
        total, count = np.bincount(family, self.counts * self.of_species), np.bincount(family, self.counts)
        return (total / np.maximum(count, 1))[family]
