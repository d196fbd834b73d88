"""What an ab initio reconstruction does round by round: how many images, how far in frequency, how loosely."""

from dataclasses import dataclass, replace

import numpy as np

from ..config import AbInitioConfig, PoseConfig
from .limits import OF_ONE, OF_SEVERAL
from .steps import Phase, Round, Step

SORTING = 6
"""Rounds in which species are sorted."""
SORTED_IMAGES = 600
"""Images per species of sorting."""
PARTED_STARTS, PAIRED_STARTS = 4, 3
"""Random starts of each species among its own images, and before them of two species among those of both."""
LOW_RADIUS = 5
"""Frequency limit where maps begin to settle."""
CLIMBED_IMAGES = 2000
"""Images per species of a refining round that is repeated."""
CHECKS = 3
"""Rounds in which half-sets check what became of a start of several species."""
RIPENING = 9
"""Rounds like these that the likeliest starts go through before they are held against what was before: young maps of
the right molecules explain images less well, for some rounds, than old ones of two molecules each."""
MOST_GROUPINGS = 4
"""Where the number of species is open: how often images start as pools at most, of which all that are hard to place
make one from the second time on."""
REGROUPED = 2
"""Random starts of such a pool; at first, when all images are in pools, there is one."""
DISSOLVING = 3
"""Rounds in which some species do without others."""
GROUPED_DISSOLVED, DISSOLVED = (3, 4), (4,)
"""After images started as pools, and before all images are refined: one species in so many is dissolved, and then one
in so many once more."""


@dataclass(frozen=True)
class Stages:
    """The rounds of an ab initio reconstruction."""

    settling: list[Round]
    """Loose and coarse, on few images, from random maps."""
    sorting: list[Round]
    """Species tell themselves apart; none where there is one."""
    pairing: list[Round]
    """As settling, two species that are alike among the images of both, then checked by half-sets; none where there is
    one, or their number is open."""
    parting: list[Round]
    """As settling, each species among its own images, then checked by half-sets; none where there is one."""
    grouping: list[Round]
    """As settling, several species among the images of each pool, with equal shares, then checked by half-sets; none
    where their number is known."""
    refining: list[Round]
    """All images, ever finer."""
    climbing: Round
    """The one in the middle of these, on fewer images, repeated while maps gain by it."""

    @classmethod
    def of(
        cls,
        config: AbInitioConfig,
        poses: PoseConfig,
        box: int,
        n: int,
        species: int = 1,
        grows: bool = False,
        distinct: bool = True,
    ) -> "Stages":
        """The rounds for `n` images of `box`² pixels and so many species, whose number may grow or not and which are
        molecules of their own or conformers of one."""
        last = min(poses.last_radius, box // 2 - 1)
        limits = OF_SEVERAL if distinct and species > 1 else OF_ONE
        low, middle, sorting = (min(radius, last) for radius in (LOW_RADIUS, limits.settled, limits.sorted))
        settling = [
            Round(
                radius=int(round(low + (middle - low) * t)),
                images=min(n, config.images_per_round * species),
                temperature=0.15 + 0.65 * t,
                kept=4 * poses.kept,
            )
            for t in np.linspace(0, 1, config.rounds)
        ]
        radii = np.rint(np.linspace(sorting, last, config.refinements)).astype(int)
        levels = np.ceil(np.linspace(1, poses.levels, config.refinements)).astype(int)
        firsts = np.rint(np.linspace(*limits.first, config.refinements)).astype(int)
        refining = [
            Round(
                radius=int(radius),
                images=n,
                temperature=1.0,
                kept=poses.kept,
                levels=int(level),
                first_radius=int(first),
                crossed=True,
                masked=step > 0,
                met="likely",
            )
            for step, (radius, level, first) in enumerate(zip(radii, levels, firsts, strict=True))
        ]
        climbing = replace(refining[len(refining) // 2], images=min(n, CLIMBED_IMAGES * species))
        if species == 1:
            return cls(settling, [], [], [], [], refining, climbing)
        images = min(n, SORTED_IMAGES * species)
        sort = Round(sorting, images, 1.0, poses.kept, 1, limits.first[0], crossed=True, met="likely")
        # As many images of each species, which are not equally large: there may be fewer than these in all.
        parting = [replace(plan, met="own", images=config.images_per_round * species) for plan in settling]
        parting += [replace(sort, met="own", images=parting[0].images)] * CHECKS
        if not grows:
            pairing = [replace(plan, met="kin", even=not plan.crossed) for plan in parting] if distinct else []
            return cls(settling, [sort] * SORTING, pairing, parting, [], refining, climbing)
        pool = [replace(plan, met="pool", even=True, images=images) for plan in [*settling, *[sort] * RIPENING]]
        pool += [replace(sort, met="pool")] * CHECKS
        return cls([], [sort], [], parting, pool, refining, climbing)

    @property
    def local(self) -> Round:
        """Poses moved uphill from where they are, at the last frequency limit."""
        return replace(self.refining[-1], kept=1, met="own", local=True, masked=True)

    def steps(
        self,
        starts: int,
        drops: bool,
        repeats: int,
        moving: int,
        climbs: int = 0,
        insists: int = 0,
        groupings: int = 1,
    ) -> list[Step]:
        """All rounds in order.

        Parameters
        ----------
        starts : random starts of the first phase.
        drops : whether to drop species that no image would miss.
        repeats : how many more local rounds there are at the end than one.
        moving : rounds against bases after them.
        climbs : how many more rounds there are in the middle of refining than one.
        insists : how many more starts there are of species whose starts did not agree.
        groupings : how often images start as pools and species then anew among their own, where their number is open.
        """
        steps = []
        if self.grouping:
            number = 0
            for grouping in range(groupings):
                steps += self._group(number, starts, anew=grouping > 0)
                number, starts = steps[-1].number + 1, starts + REGROUPED
                if grouping < groupings - 1:
                    steps += self._anew("part", self.parting, number, range(starts, starts + PARTED_STARTS), drops)
                    number, starts = number + len(self.parting) + RIPENING, starts + PARTED_STARTS
        else:
            for start in range(starts if self.settling else 0):
                steps += _start("settle", self.settling, 0, start, first=start == 0)
            number = len(self.settling)
            for offset, plan in enumerate(self.sorting):
                steps.append(Step("sort", plan, number + offset, drops=drops and offset == SORTING // 2))
            number += len(self.sorting)
            steps += self._anew("pair", self.pairing, number, range(starts, starts + PAIRED_STARTS), drops)
            number += len(self.pairing) + RIPENING + 1
        steps += self._anew("part", self.parting, number, range(starts, starts + PARTED_STARTS), drops)
        number, starts = number + len(self.parting) + RIPENING, starts + PARTED_STARTS
        if insists:
            steps += self._anew("insist", self.parting, number, range(starts, starts + insists), False)
            number = steps[-1].number + 1
        if self.grouping:
            steps += self._dissolve(DISSOLVED, number)
            number = steps[-1].number + 1
        last = len(self.refining) // 2 + climbs
        refining = [*self.refining, *[self.local] * (1 + repeats)]
        refining[last - climbs + 1 : last - climbs + 1] = [self.climbing] * climbs
        for offset, plan in enumerate(refining):
            dropping = drops and offset == 0
            steps.append(Step("refine", plan, number + offset, drops=dropping, climbs=last - climbs <= offset <= last))
        number += len(refining)
        return steps + [Step("move", self.refining[-1], number + offset) for offset in range(moving)]

    def _anew(self, phase: Phase, rounds: list[Round], number: int, starts: range, drops: bool) -> list[Step]:
        """Species start anew several times among their images; the likeliest of these starts are held against what was
        before, and images are sorted where all of them have to be placed anew."""
        steps = []
        for start in starts if rounds else ():
            steps += _start(phase, rounds, number, start, first=start == starts.start)
        if not steps:
            return []
        number += len(rounds)
        ripening = [Step(phase, rounds[-1], number + offset) for offset in range(RIPENING)]
        before = [replace(step, returns=offset == 0) for offset, step in enumerate(ripening[-CHECKS:])]
        steps = [replace(steps[0], anew=True, drops=drops), *steps[1:]]
        steps += [
            *ripening[:-1],
            replace(ripening[-1], judged="first"),
            *before[:-1],
            replace(before[-1], judged="again"),
        ]
        return steps if phase == "part" else [*steps, Step("sort", self.sorting[0], number + RIPENING)]

    def _group(self, number: int, starts: int, anew: bool) -> list[Step]:
        """Images start as pools, all of them or those of species that are hard to place, and beside the old species all
        are sorted."""
        steps = []
        for start in range(REGROUPED if anew else 1):
            steps += _start("group", self.grouping, number, starts + start, first=start == 0)
        steps[0] = replace(steps[0], anew=anew)
        return steps + self._dissolve(GROUPED_DISSOLVED, number + len(self.grouping))

    def _dissolve(self, dissolved: tuple[int, ...], number: int) -> list[Step]:
        """Species are sorted; then one in so many is dissolved, once or twice, and all are sorted."""
        sort, some = Step("sort", self.sorting[0], 0), Step("dissolve", self.sorting[0], 0)
        rounds = [sort]
        for one_in in dissolved:
            rounds += [replace(some, begins=True, one_in=one_in), *[some] * (DISSOLVING - 2)]
            rounds += [replace(some, judged="again"), sort]
        return [replace(step, number=number + offset) for offset, step in enumerate(rounds)]


def _start(phase, rounds: list[Round], number: int, start: int | None, first: bool) -> list[Step]:
    """The steps of one start; random numbers are counted from `number`."""
    steps = [
        Step(phase, plan, number + offset, start, begins=offset == 0 and start is not None)
        for offset, plan in enumerate(rounds)
    ]
    return [*steps[:-1], replace(steps[-1], judged="first" if first else "again")]
