"""Where the images of a search for poses were placed last."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from ..ranks import Ranks
from ..slicing.place import on_host

NONE = np.empty(0, np.int64)
FAMILY = {"own": 1, "kin": 2, "group": 4, "pool": 1_000_000}
"""How many species, one after the other, are a family, whose images meet its members only; of a pool, all."""


@dataclass
class Placement:
    """Where the images were placed last, species included; physical poses, as `ParticleDataset.with_poses` takes."""

    rotations: np.ndarray
    """(N, 3, 3) float32."""
    shifts_ang: np.ndarray
    """(N, 2) float32."""
    species: np.ndarray
    """(N,) int64; −1 where not known."""
    score: np.ndarray
    """(N,) float32. Log-likelihood over that of an image of nothing; NaN where never placed."""
    lag: np.ndarray
    """(N, S) float32. Log-likelihood that a species lacked of the best one's when it was last compared, or 0."""

    @classmethod
    def unknown(cls, n: int, n_species: int = 1) -> "Placement":
        rotations = np.broadcast_to(np.eye(3, dtype=np.float32), (n, 3, 3)).copy()
        shifts, score = np.zeros((n, 2), np.float32), np.full(n, np.nan, np.float32)
        return cls(rotations, shifts, np.full(n, -1), score, np.zeros((n, n_species), np.float32))

    def family(self, species: int, met: str) -> np.ndarray | None:
        """Images of the family of a species; None where images meet others too."""
        size = FAMILY.get(met)
        return None if size is None else np.flatnonzero(self.species // size == species // size)

    def split(self, rng: np.random.Generator, parts: int = 2) -> "Placement":
        """Of each species `parts`, one after the other, with its images dealt out among them; all are as likely as it
        was."""
        dealt = parts * self.species + rng.integers(0, parts, len(self.species))
        return replace(self, species=np.where(self.species < 0, -1, dealt), lag=np.repeat(self.lag, parts, axis=1))

    def pooled(self, rng: np.random.Generator, parts: int) -> "Placement":
        """Images of all species dealt out among `parts`, which are as likely as one another; others stay in none."""
        dealt, lag = rng.integers(0, parts, len(self.species)), np.zeros((len(self.species), parts), np.float32)
        return replace(self, species=np.where(self.species < 0, -1, dealt), lag=lag)

    def renamed(self, new: np.ndarray) -> "Placement":
        """Species s becomes `new[s]`; several that become one are as likely together as the likeliest of them."""
        lag = np.stack([self.lag[:, new == species].min(1) for species in range(new.max() + 1)], axis=1)
        return replace(self, species=np.append(new, -1)[self.species], lag=lag)

    def share(self, images: np.ndarray, ranks: Ranks) -> None:
        """Make common where this process has placed the `images` (n,) that were its own, and others theirs."""
        if ranks.alone:
            return
        every = on_host(ranks.gathered(torch.from_numpy(images)))
        for values in (self.rotations, self.shifts_ang, self.species, self.score, self.lag):
            values[every] = on_host(ranks.gathered(torch.from_numpy(values[images])))

    def copied(self) -> "Placement":
        """The same in memory of its own."""
        columns = (self.rotations, self.shifts_ang, self.species, self.score, self.lag)
        return Placement(*(np.array(values) for values in columns))

    def only(self, kept: list[int]) -> "Placement":
        """The same for some of the species only. Images of the others are in none, and all are likely for them."""
        # One entry more than species: a species of −1, not known, reads the last one and stays −1.
        new_number = np.full(self.lag.shape[1] + 1, -1)
        new_number[kept] = np.arange(len(kept))
        species, lag = new_number[self.species], self.lag[:, kept]
        lag[species < 0] = 0
        return replace(self, species=species, lag=lag)


def drawn(among: int | np.ndarray, count: int, rng: np.random.Generator, aside: np.ndarray = NONE) -> np.ndarray:
    """Up to `count` of some numbers, or of 0 … among − 1, that are not `aside`, in order, each once."""
    numbers = np.setdiff1d(np.arange(among) if isinstance(among, int) else among, aside)
    return np.sort(rng.choice(numbers, min(count, len(numbers)), replace=False)) if len(numbers) else NONE
