"""Species that are hard to place start anew together, and stand beside the old ones until all images are sorted."""

from itertools import groupby

import numpy as np
import pytest

from cryodrgn_plugin.engine.ab_initio.contests import close_contest, open_contest
from cryodrgn_plugin.engine.ab_initio.placement import Placement
from cryodrgn_plugin.engine.ab_initio.regrouping import IMAGES, begin_together
from cryodrgn_plugin.engine.ab_initio.search_checkpoint import Progress
from cryodrgn_plugin.engine.ab_initio.stages import CHECKS, PARTED_STARTS, REGROUPED, Stages
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


def test_images_of_hard_species_alone_are_dealt_out_evenly_one_species_for_so_many():
    engine, rng = Engine(18 * IMAGES), np.random.default_rng(0)
    before = engine.placement.species.copy()
    engine.keep([1, 3])
    # Twelve lots of images are in a species, half of these in those two.
    assert begin_together(engine, 20, rng) == 6
    dealt = engine.placement.species
    np.testing.assert_array_equal(dealt >= 0, np.isin(before, [1, 3]))
    np.testing.assert_allclose(np.bincount(dealt[dealt >= 0]) / IMAGES, 1.0, atol=0.2)
    assert engine.placement.lag.shape == (18 * IMAGES, 6) and not engine.placement.lag.any()


@pytest.mark.parametrize("most, expected", [(20, 2), (1, 2)])
def test_few_images_start_as_two_species(most, expected):
    engine = Engine(60)
    assert begin_together(engine, most, np.random.default_rng(0)) == expected


def test_new_species_stand_beside_all_old_ones():
    engine = Engine(12)
    progress = Progress(maps=Maps([list("abcd"), list("ABCD")], np.full(4, 0.25)), hard=np.array([1, 3]))
    open_contest(progress, "regroup", engine)
    assert progress.maps.models == [["b", "d"], ["B", "D"]] == progress.incumbents.models
    progress.maps = Maps([list("xyz"), list("XYZ")], np.array([0.5, 0.25, 0.25]))
    close_contest(progress, "regroup", engine)
    assert progress.maps.models == [list("abcdxyz"), list("ABCDXYZ")] and progress.whole is None
    # Two of four species started anew: half of the images at most are theirs, as far as is known.
    np.testing.assert_allclose(progress.maps.populations, [*[0.125] * 4, 0.25, 0.125, 0.125])
    assert engine.placement.lag.shape == (12, 7) and (engine.placement.species == -1).all()


def stages(grows: bool) -> Stages:
    config = recipe_config("abinitio", {})
    return Stages.of(config.ab_initio, config.poses, 64, 3000, species=6, grows=grows)


def test_starts_are_judged_by_the_same_images_without_equal_shares():
    rounds = stages(grows=True).regrouping
    every = stages(grows=True).steps(1, True, 0, 0, insists=2, regroups=True)
    steps = [step for step in every if step.phase == "regroup"]
    assert steps[0].anew and len(steps) == REGROUPED * len(rounds)
    assert [step.judged for step in steps if step.judged] == ["first", *["again"] * (REGROUPED - 1)]
    assert len({step.number for step in steps if step.judged}) == 1
    even = [step.plan.even for step in steps[: len(rounds)]]
    assert even == [True] * (len(even) - CHECKS) + [False] * CHECKS


def test_they_start_together_first_and_then_by_themselves():
    steps = stages(grows=True).steps(1, True, 0, 0, insists=2, regroups=True)
    begun_in = [step.phase for step in steps if step.phase not in ("sort", "dissolve")]
    phases = [phase for phase, _ in groupby(begun_in)]
    assert phases == ["split", "part", "regroup", "part", "insist", "refine"]
    begun = [step.start for step in steps if step.begins and step.phase in phases[1:]]
    assert len(begun) == len(set(begun)) == 2 * PARTED_STARTS + REGROUPED + 2
    # Where all starts agree none of it is needed; where it is and all agree after it, no more starts are.
    plain = stages(grows=True).steps(1, True, 0, 0)
    without = stages(grows=True).steps(1, True, 0, 0, regroups=True)
    assert not {"regroup", "insist"} & {step.phase for step in plain}
    assert "insist" not in {step.phase for step in without} and without[: len(phases)] == steps[: len(phases)]


def test_where_their_number_is_known_none_start_together_anew():
    assert stages(grows=False).regrouping == []
    assert stages(grows=True).pairing == [] != stages(grows=False).pairing
