"""Where the images of a search for poses were placed last."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch

from ..ranks import Ranks
from ..slicing.place import on_host

NONE = np.empty(0, np.int64)
FAMILY = {"own": 1, "kin": 2}
"""How many species, one after the other, are a family, whose images meet its members only."""


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
    pools: np.ndarray = field(default_factory=lambda: NONE)
    """(S,) int64. The pool that a species shares images with, where species start anew in pools."""

    @classmethod
    def unknown(cls, n: int, n_species: int = 1) -> "Placement":
        rotations = np.broadcast_to(np.eye(3, dtype=np.float32), (n, 3, 3)).copy()
        shifts, score = np.zeros((n, 2), np.float32), np.full(n, np.nan, np.float32)
        return cls(rotations, shifts, np.full(n, -1), score, np.zeros((n, n_species), np.float32))

    def families(self, met: str) -> np.ndarray | None:
        """(S,) the family of each species, by number; None where images meet species of others too."""
        if met == "pool":
            return self.pools
        n_species = max(self.lag.shape[1], self.species.max(initial=-1) + 1)
        return np.arange(n_species) // FAMILY[met] if met in FAMILY else None

    def in_families(self, met: str) -> np.ndarray | None:
        """(N,) the family that each image is in, −1 in none; None where images meet species of others too."""
        families = self.families(met)
        # One entry more than species: a species of −1 reads the last one.
        return None if families is None else np.append(families, -1)[self.species]

    def pooled(self, rng: np.random.Generator, pool: np.ndarray, parts: np.ndarray) -> "Placement":
        """The images of each pool, by number in `pool` (N,), −1 in none, dealt out among so many species, `parts` (P,),
        which are as likely as one another."""
        first, among = np.cumsum(parts) - parts, np.append(parts, 1)[pool]
        dealt = np.append(first, 0)[pool] + (rng.random(len(pool)) * among).astype(np.int64)
        lag = np.zeros((len(pool), parts.sum()), np.float32)
        pools = np.repeat(np.arange(len(parts)), parts)
        return replace(self, species=np.where(pool < 0, -1, dealt), lag=lag, pools=pools)

    def share(self, images: np.ndarray, ranks: Ranks) -> None:
        """Make common where this process has placed the `images` (n,) that were its own, and others theirs."""
        if ranks.alone:
            return
        every = on_host(ranks.gathered(torch.from_numpy(images)))
        for values in (self.rotations, self.shifts_ang, self.species, self.score, self.lag):
            values[every] = on_host(ranks.gathered(torch.from_numpy(values[images])))

    def copied(self) -> "Placement":
        """The same in memory of its own."""
        columns = (self.rotations, self.shifts_ang, self.species, self.score, self.lag, self.pools)
        return Placement(*(np.array(values) for values in columns))

    def only(self, kept: list[int]) -> "Placement":
        """The same for some of the species only. Images of the others are in none, and all are likely for them."""
        # One entry more than species: a species of −1, not known, reads the last one and stays −1.
        new_number = np.full(self.lag.shape[1] + 1, -1)
        new_number[kept] = np.arange(len(kept))
        species, lag = new_number[self.species], self.lag[:, kept]
        lag[species < 0] = 0
        return replace(self, species=species, lag=lag, pools=self.pools[kept] if len(self.pools) else self.pools)


def drawn(among: int | np.ndarray, count: int, rng: np.random.Generator, aside: np.ndarray = NONE) -> np.ndarray:
    """Up to `count` of some numbers, or of 0 … among − 1, that are not `aside`, in order, each once."""
    numbers = np.setdiff1d(np.arange(among) if isinstance(among, int) else among, aside)
    return np.sort(rng.choice(numbers, min(count, len(numbers)), replace=False)) if len(numbers) else NONE
