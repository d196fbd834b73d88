"""Maps of one or several molecules, of half-sets or of all images together."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..reconstruction.fsc import fsc
from ..slicing.fine import cropped_volume
from .linear_model import LinearModel, mean_model


@dataclass(frozen=True)
class Maps:
    """What is known of the molecules: `models[half][species]`, one half or two, and the species' `populations`."""

    models: list[list[LinearModel]]
    populations: np.ndarray
    misfit: np.ndarray | None = None
    """(shells,). What images differed from the maps before these by, in noise variances (`misfit`)."""

    @property
    def n_species(self) -> int:
        return len(self.populations)

    def volumes(self, radius: int | None = None) -> list[np.ndarray]:
        """(D, D, D) of each species, of both halves together; with `radius` only as large as that limit needs."""
        box = self.models[0][0].sphere.box
        box = box if radius is None else min(box, 2 * (radius + 2))
        return [cropped_volume(mean_model(list(both)).mean_map(), box) for both in zip(*self.models, strict=True)]

    def known_shells(self, level: float) -> np.ndarray:
        """(S,) int. The last shell before the halves' FSC first falls below `level`; the maps' limit with one half."""
        limit = int(self.models[0][0].sphere.radius)
        if len(self.models) == 1:
            return np.full(self.n_species, limit)
        curves = (fsc(*(model.mean_map() for model in halves)) for halves in zip(*self.models, strict=True))
        # The −1 at the end lies below any level, so that there is always a first shell below it.
        return np.array([min(np.argmax(np.append(curve, -1.0) < level) - 1, limit) for curve in curves])

    def only(self, kept: list[int]) -> "Maps":
        """The same with some of the species only."""
        models = [[half[species] for species in kept] for half in self.models]
        return Maps(models, self.populations[kept] / self.populations[kept].sum(), self.misfit)

    def where(self, chosen: np.ndarray, other: "Maps") -> "Maps":
        """These maps for species where `chosen` (S,), the other's elsewhere; populations stay."""
        pairs = [zip(*both, strict=True) for both in zip(self.models, other.models, strict=True)]
        models = [[mine if own else theirs for own, (mine, theirs) in zip(chosen, pair, strict=True)] for pair in pairs]
        return Maps(models, self.populations, self.misfit)

    def replaced(self, species: Iterable[int], other: "Maps") -> "Maps":
        """These maps, but for some `species` those of another set, in its order; populations stay."""
        models = [list(half) for half in self.models]
        for mine, theirs in zip(models, other.models, strict=True):
            for number, model in zip(species, theirs, strict=True):
                mine[number] = model
        return Maps(models, self.populations, self.misfit)

    def with_others(self, other: "Maps", species: list[int]) -> "Maps":
        """These maps, and after them some `species` of another set, which keep their shares of the images."""
        models = [mine + [half[one] for one in species] for mine, half in zip(self.models, other.models, strict=True)]
        shares = other.populations[species]
        return Maps(models, np.append(self.populations * (1 - shares.sum()), shares), self.misfit)

    def joined(self, other: "Maps", instead_of: int) -> "Maps":
        """These maps, and after them all of another set, with the average share of so many of these together."""
        share = min(0.5, instead_of / self.n_species)
        smaller = Maps(other.models, other.populations * share, other.misfit)
        return self.with_others(smaller, list(range(other.n_species)))

    def occupied(self, least: float) -> list[int]:
        """Species whose share of the images is at least `least`; if none is, the largest."""
        return [int(s) for s in np.flatnonzero(self.populations >= least)] or [int(self.populations.argmax())]
