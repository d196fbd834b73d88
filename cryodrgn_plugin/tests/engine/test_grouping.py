"""Images start as pools of species; those of species that are hard to place once more, until all are sorted."""

from itertools import groupby

import numpy as np
import pytest

from cryodrgn_plugin.engine.ab_initio.contests import close_contest, open_contest
from cryodrgn_plugin.engine.ab_initio.grouping import FEWEST, FEWEST_FIRST, IMAGES, begin_in_pools, dealt_out
from cryodrgn_plugin.engine.ab_initio.placement import Placement
from cryodrgn_plugin.engine.ab_initio.search_checkpoint import Progress
from cryodrgn_plugin.engine.ab_initio.stages import PARTED_STARTS, REGROUPED, Stages
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.likelihood.species_maps import Maps


class Engine:
    """As much of the rounds as species that start anew change: images of four species, a third in none."""

    def __init__(self, n: int) -> None:
        self.placement = Placement.unknown(n, 4)
        self.placement.species[:] = np.where(np.arange(n) % 3, np.arange(n) % 4, -1)
        self.dataset = type("Images", (), {"n": n})

    def keep(self, species: list[int]) -> None:
        self.placement = self.placement.only(species)

    def sorted_by_power(self, n_groups: int, fewest: int, rng: np.random.Generator) -> np.ndarray:
        """One image in so many groups suits the first of them, as many the second, and so on."""
        return (np.arange(self.dataset.n)[:, None] % n_groups != np.arange(n_groups)).astype(np.float32)


def of_four() -> Maps:
    return Maps([list("abcd"), list("ABCD")], np.full(4, 0.25))


def test_each_pool_is_dealt_out_evenly_among_one_species_for_so_many_images():
    rng = np.random.default_rng(0)
    pool = np.repeat([0, -1, 1, 2], [6 * IMAGES, 100, 3 * IMAGES, 50])
    dealt = dealt_out(Placement.unknown(len(pool)), pool, 2, 99, rng)
    np.testing.assert_array_equal(dealt.pools, np.repeat([0, 1, 2], [6, 3, 2]))
    np.testing.assert_array_equal(dealt.in_families("pool"), pool)
    np.testing.assert_allclose(np.bincount(dealt.species[pool == 0]) / IMAGES, 1.0, atol=0.2)
    assert dealt.lag.shape == (len(pool), 11) and not dealt.lag.any()


def test_where_few_species_are_allowed_pools_are_dealt_out_among_fewer_in_proportion():
    pool = np.repeat([0, 1, 2], [40 * IMAGES, 20 * IMAGES, 50])
    dealt = dealt_out(Placement.unknown(len(pool)), pool, 2, 32, np.random.default_rng(0))
    np.testing.assert_array_equal(np.bincount(dealt.pools), [20, 10, 2])


def test_a_pool_without_images_is_of_the_fewest_species_all_the_same():
    dealt = dealt_out(Placement.unknown(5), np.full(5, -1), 2, 64, np.random.default_rng(0))
    assert dealt.lag.shape == (5, 2) and (dealt.species == -1).all()


def test_all_images_start_in_groups_alike_in_power_but_those_set_aside():
    engine, progress, aside = Engine(9 * IMAGES), Progress(), np.arange(0, 9 * IMAGES, 50)
    count = begin_in_pools(progress, engine, 3, aside, 64, np.random.default_rng(0))
    assert count == 3 * FEWEST_FIRST and progress.grouped == 1
    family = engine.placement.in_families("pool")
    assert (family[aside] == -1).all()
    left = np.delete(np.arange(9 * IMAGES), aside)
    np.testing.assert_array_equal(family[left], left % 3)


@pytest.mark.parametrize("n, most, expected", [(18 * IMAGES, 64, 6), (18 * IMAGES, 6, 4), (60, 64, FEWEST)])
def test_images_of_hard_species_alone_start_as_one_pool(n, most, expected):
    engine = Engine(n)
    progress, before = Progress(maps=of_four(), hard=np.array([1, 3]), grouped=1), engine.placement.species.copy()
    open_contest(progress, "group", engine)
    assert begin_in_pools(progress, engine, 3, np.empty(0, int), most, np.random.default_rng(0)) == expected
    np.testing.assert_array_equal(engine.placement.species >= 0, np.isin(before, [1, 3]))
    assert not engine.placement.pools.any()


def test_new_species_stand_beside_all_old_ones():
    engine = Engine(12)
    progress = Progress(maps=of_four(), hard=np.array([1, 3]), grouped=1)
    open_contest(progress, "group", engine)
    assert progress.maps.models == [["b", "d"], ["B", "D"]] == progress.incumbents.models
    progress.maps = Maps([list("xyz"), list("XYZ")], np.array([0.5, 0.25, 0.25]))
    close_contest(progress, "group", engine)
    assert progress.maps.models == [list("abcdxyz"), list("ABCDXYZ")] and progress.whole is None
    # Two of four species started anew: half of the images at most are theirs, as far as is known.
    np.testing.assert_allclose(progress.maps.populations, [*[0.125] * 4, 0.25, 0.125, 0.125])
    assert engine.placement.lag.shape == (12, 7) and (engine.placement.species == -1).all()


def test_the_first_species_stand_alone():
    engine, progress = Engine(12), Progress(maps=of_four())
    close_contest(progress, "group", engine)
    assert progress.maps.models == of_four().models and (engine.placement.species == -1).all()


def stages(grows: bool) -> Stages:
    config = recipe_config("abinitio", {})
    return Stages.of(config.ab_initio, config.poses, 64, 3000, species=6, grows=grows)


def test_starts_of_a_pool_are_judged_by_the_same_images():
    rounds = stages(grows=True).grouping
    steps = [step for step in stages(grows=True).steps(1, True, 0, 0, groupings=2) if step.phase == "group"]
    assert len(steps) == (1 + REGROUPED) * len(rounds)
    assert [step.anew for step in steps].index(True) == len(rounds)
    assert [step.judged for step in steps if step.judged] == ["first", "first", *["again"] * (REGROUPED - 1)]
    assert len({step.number for step in steps[len(rounds) :] if step.judged}) == 1


def test_rounds_go_on_as_they_were_when_species_turn_out_to_be_hard_to_place():
    once, twice, thrice = (stages(grows=True).steps(1, True, 0, 0, 2, 5, groupings) for groupings in (1, 2, 3))
    phases = [phase for phase, _ in groupby(step.phase for step in thrice if step.phase not in ("sort", "dissolve"))]
    assert phases == ["group", "part", "group", "part", "group", "part", "insist", "refine"]
    for fewer, more in ((once, twice), (twice, thrice)):
        known = max(number for number, step in enumerate(fewer) if step.phase == "part") + 1
        assert more[:known] == fewer[:known] and more[known].phase == "group" and more[known].anew
    begun = [step.start for step in thrice if step.begins and step.start is not None]
    assert len(begun) == len(set(begun)) == 1 + 2 * REGROUPED + 3 * PARTED_STARTS + 5


def test_where_their_number_is_known_there_are_no_pools():
    assert stages(grows=False).grouping == []
    assert stages(grows=True).pairing == [] != stages(grows=False).pairing
