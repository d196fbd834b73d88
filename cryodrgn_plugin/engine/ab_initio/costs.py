"""What the rounds of an ab initio reconstruction cost, and from it how much time is left.

Rounds differ a hundredfold: in images, in the species that each image meets, in how far poses are refined and in the
frequency limit. The work of a round is counted in a few kinds of operations, each with what one takes on a processor
core; what this machine makes of it is learnt from the rounds that are done, coarse, refined and local ones each by
themselves.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from ..config import PoseConfig
from ..geometry import so3_grid
from .meeting import AGAIN, NEAREST
from .placement import FAMILY
from .rounds import FIRST_KEPT, STEPS_PER_WAVE, PoseRounds
from .steps import Round

NANOSECONDS = {
    "tried": 4.5,
    "compared": 0.01,
    "refined": 1.1,
    "local": 280.0,
    "volume": 300.0,
    "visited": 2e4,
    "round": 5e7,
}
"""Of a core: a pose and shift of an image on the first grid, and each coefficient of it; a coefficient at a pose of an
image's own; an image's coefficient in one look uphill; a voxel of a map solved; an image visited with a species; a
round of nothing. They foresaw 185 rounds on 24² and 32² pixels to within a fourth, nine of ten."""
MET_OF_MANY = 0.3
"""Share of the other species that an image meets where it meets those that are not hopeless for it."""
UPHILL = 7
"""Looks at an image while its pose is moved uphill."""
TRIED, TRIED_SPECIES = 128, 2
"""Images and species of a round that is timed before the first."""
PRIOR_ROUNDS = 2.0
"""Rounds of a kind count against what all rounds say as this many of those do."""


@dataclass(frozen=True)
class RoundCosts:
    """What rounds on images of a box cost."""

    poses: PoseConfig
    box: int
    padding: float
    images: int
    """All there are."""

    def seconds(self, plan: Round, n_species: int) -> float:
        """What a round takes on one core that is as fast as the one which the constants are from."""
        return 1e-9 * sum(NANOSECONDS[name] * count for name, count in self.work(plan, n_species).items())

    def work(self, plan: Round, n_species: int) -> dict[str, float]:
        """How many operations of each kind a round has."""
        images, halves = min(plan.images, self.images), 1 + plan.crossed
        in_pool = min(n_species, NEAREST + AGAIN * n_species) if plan.crossed else n_species
        met = (FAMILY | {"all": n_species, "pool": in_pool}).get(plan.met, 1 + MET_OF_MANY * (n_species - 1))
        solved = self.box // 2 - 1 if plan.masked else plan.radius
        first = min(plan.first_radius, plan.radius) if plan.levels else plan.radius
        maps = {
            "volume": n_species * halves * (self.padding * 2 * solved) ** 3,
            "visited": float(images * n_species),
            "round": 1.0,
        }
        if plan.local:
            return {"local": images * UPHILL * _coefficients(plan.radius), **maps}
        rotations = so3_grid.size(so3_grid.level_for(self.poses.spacing_deg))
        shifts = min(self.poses.shift_steps, int(np.ceil(2 * self.poses.shift_extent * STEPS_PER_WAVE * first))) ** 2
        radii = np.linspace(first, plan.radius, plan.levels + 1)[1:]
        kept = plan.kept * so3_grid.CHILDREN * np.array([FIRST_KEPT] + [1] * plan.levels)[: plan.levels]
        tried = (kept * _coefficients(radii)).sum() * self.poses.finer_shift_steps**2
        return {
            "tried": images * met * rotations * shifts,
            "compared": images * met * rotations * shifts * _coefficients(first),
            "refined": images * min(met, 1.5) * float(tried),
            **maps,
        }


def _coefficients(radius):
    """Of half a plane up to a radius."""
    return np.pi / 2 * np.square(radius)


@dataclass
class TimeLeft:
    """Seconds that rounds took beside those foreseen, by kind of round, and what others will take by that."""

    costs: RoundCosts
    ratios: dict[str, list[float]] = field(default_factory=dict)

    def took(self, plan: Round, n_species: int, seconds: float) -> None:
        """A round is done."""
        self.ratios.setdefault(kind_of(plan), []).append(seconds / self.costs.seconds(plan, n_species))

    def try_out(self, rounds: PoseRounds, plan: Round) -> None:
        """Time a small round like `plan`, of species that come to nothing; the second one, for the first may have to
        wait for what is compiled. `rounds` are not used for anything else."""
        rng, images = np.random.default_rng(0), min(TRIED, self.costs.images)
        small = replace(plan, images=images, met="all", even=False)
        maps = rounds.start(TRIED_SPECIES, small, small.images, rng)
        for _ in range(2):
            began = time.perf_counter()
            maps = rounds.advance(maps, small, rng).maps
        self.took(small, TRIED_SPECIES, time.perf_counter() - began)

    def of(self, plans: Iterable[Round], n_species: int) -> float:
        """Seconds that rounds will take.

        Medians, for what is compiled or read for the first time is not what a round costs.
        """
        return sum(self.costs.seconds(plan, n_species) * self._ratio(kind_of(plan)) for plan in plans)

    def _ratio(self, kind: str) -> float:
        every = [ratio for ratios in self.ratios.values() for ratio in ratios]
        usual, own = (float(np.median(ratios)) if ratios else 1.0 for ratios in (every, self.ratios.get(kind, [])))
        count = len(self.ratios.get(kind, []))
        return (own * count + usual * PRIOR_ROUNDS) / (count + PRIOR_ROUNDS)


def kind_of(plan: Round) -> str:
    """Rounds of one kind are as much faster or slower than foreseen as one another."""
    return "local" if plan.local else "refined" if plan.levels else "coarse"
