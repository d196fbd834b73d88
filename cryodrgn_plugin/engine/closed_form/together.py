"""Do the regions of a focus move together? How far the directions in one say what those in another do.

Where images are told apart in two regions, errors of one are errors of the other, so what is correlated is not what
seems to be the place of each image but the amplitudes themselves: their spread S is learned once more, with those of
different regions free to vary together (`likelihood/nuisances.scoring`). The correlation of two regions is the
largest canonical one, between the linear functions of their amplitudes that are most alike. Whether there is any is
asked by the score test of S_ab = 0: the gradient there, over its Fisher information, is χ² of K_a K_b.
"""

from dataclasses import asdict, dataclass
from itertools import combinations

import torch
from scipy.stats import chi2
from torch import Tensor

from ..likelihood.near_images import NearImages
from ..likelihood.nuisances import Nuisances, scoring
from ..likelihood.outside import members
from ..likelihood.spread_solve import solved_spread
from ..run import Run
from .directions import Directions
from .focus import Focus

ROUNDS = 8
SURE, WORTH = 1e-3, 0.1
"""Regions move together where chance gives that as rarely as this, and the correlation is worth telling."""


@dataclass(frozen=True)
class Together:
    """`correlation`, from 0 to 1, of what moves in two regions, and how often `chance` would speak as much for one."""

    regions: tuple[str, str]
    correlation: float
    chance: float

    @property
    def sentence(self) -> str:
        """The same in words."""
        first, second = self.regions
        if self.chance < SURE and self.correlation >= WORTH:
            return f"{first} and {second} move together: what moves in them is correlated by {self.correlation:.2f}."
        return f"Nothing says that {first} and {second} move together (correlation {self.correlation:.2f})."


def note_together(run: Run, focus: Focus, near: NearImages, found: Directions) -> None:
    """Note how far every two regions move together, and say so; nothing of a single region."""
    names = [region.name for region in focus.regions]
    told = moving_together(near, found.nuisances, names)
    if told:
        run.note(together=[asdict(pair) for pair in told], said_of_regions=[pair.sentence for pair in told])
    for pair in told:
        run.log(pair.sentence)


def moving_together(near: NearImages, nuisances: Nuisances, names: list[str]) -> list[Together]:
    """Every two regions, of compressed images in the frame where amplitudes are N(0, 1) in each."""
    if len(names) < 2:
        return []
    k, groups = near.n_bases, members(near.groups, near.gram.device)
    alone = torch.eye(k, dtype=near.gram.dtype, device=near.gram.device)
    centre, spread = alone.new_zeros(k), alone
    equations = scoring(near, nuisances, centre, alone)
    for _ in range(ROUNDS):
        spread = solved_spread(*scoring(near, nuisances, centre, spread), (k - near.groups[-1], near.groups[-1]))
    told = []
    for a, b in combinations(range(len(names)), 2):
        chance = _chance(*equations, groups[a], groups[b])
        told.append(Together((names[a], names[b]), _canonical(spread, groups[a], groups[b]), chance))
    return told


def _canonical(spread: Tensor, ours: Tensor, theirs: Tensor) -> float:
    """The largest canonical correlation of two groups of amplitudes."""
    whitened = [torch.linalg.cholesky(spread[each[:, None], each[None, :]]) for each in (ours, theirs)]
    between = torch.linalg.solve(whitened[0], spread[ours[:, None], theirs[None, :]])
    between = torch.linalg.solve(whitened[1], between.T)
    return min(float(torch.linalg.matrix_norm(between, 2)), 1.0)


def _chance(left: Tensor, right: Tensor, ours: Tensor, theirs: Tensor) -> float:
    """How often independent amplitudes give as large a gradient; the equations are those at S = 1."""
    k = len(right)
    pairs = [(int(i), int(j)) for i in ours for j in theirs]
    there = torch.tensor([i * k + j for i, j in pairs], device=left.device)
    back = torch.tensor([j * k + i for i, j in pairs], device=left.device)
    gradient = (right.flatten() - left @ torch.eye(k, dtype=left.dtype, device=left.device).flatten())[there]
    information = left[there[:, None], there[None, :]] + left[there[:, None], back[None, :]]
    statistic = float(gradient @ torch.linalg.solve(information, gradient))
    return float(chi2.sf(statistic, len(pairs)))
