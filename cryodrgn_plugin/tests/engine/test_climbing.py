"""A refining round that is repeated while some species gains by it."""

import numpy as np
import pytest

from cryodrgn_plugin.engine.ab_initio.climbing import GAIN, climbs_on, with_round
from cryodrgn_plugin.engine.ab_initio.stages import Stages
from cryodrgn_plugin.engine.config import recipe_config


def scores(*rounds: list[float]) -> np.ndarray:
    climbed = np.empty((0, 0))
    for of_species in rounds:
        climbed = with_round(climbed, np.array(of_species))
    return climbed


@pytest.mark.parametrize(
    ("rounds", "goes_on"),
    [
        ([[40.0, 30.0]], True),
        ([[40.0, 30.0], [40.1, 30.1]], False),
        ([[40.0, 30.0], [40.1, 30.5]], True),
        ([[40.0, 30.0], [40.1, 30.2], [40.1, 30.4]], True),
        ([[40.0, 30.0], [40.1, 30.5], [40.1, 30.6], [40.1, 30.7]], False),
        ([[40.0], [39.0], [38.0]], False),
    ],
)
def test_it_is_repeated_while_a_species_gains_a_hundredth_in_two_rounds(rounds, goes_on):
    assert GAIN == 0.01
    assert climbs_on(scores(*rounds), len(rounds) - 1, most=10) == goes_on


def test_it_is_not_repeated_for_ever():
    climbing = scores([1.0], [2.0], [3.0])
    assert climbs_on(climbing, 9, most=10)
    assert not climbs_on(climbing, 10, most=10)
    assert not climbs_on(climbing[:1], 0, most=0)


def test_scores_of_other_species_are_not_compared():
    assert scores([40.0, 30.0], [41.0, 31.0], [41.0]).tolist() == [[41.0]]


def test_repetitions_follow_the_round_in_the_middle_and_leave_the_others_as_they_are():
    config = recipe_config("abinitio", {"ab_initio.refinements": 5})
    stages = Stages.of(config.ab_initio, config.poses, 64, 100_000)
    plain, climbing = (stages.steps(1, False, 1, 0, climbs) for climbs in (0, 3))
    added = [step for step in climbing if step.climbs]
    assert [step.climbs for step in plain].count(True) == 1
    assert len(climbing) == len(plain) + 3 == len(plain) + len(added) - 1
    assert {step.plan.radius for step in added} == {22}
    assert [step.plan.images for step in added] == [100_000, 2000, 2000, 2000]
    middle = climbing.index(added[0])
    assert plain[: middle + 1] == climbing[: middle + 1]
    assert [step.plan for step in plain[middle + 1 :]] == [step.plan for step in climbing[middle + 4 :]]
    assert len({step.number for step in climbing}) == len(climbing)
