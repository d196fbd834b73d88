"""What rounds of a search for poses cost, and the time left that follows."""

from dataclasses import replace

import pytest

from cryodrgn_plugin.engine.ab_initio.costs import RoundCosts, TimeLeft
from cryodrgn_plugin.engine.ab_initio.steps import Round
from cryodrgn_plugin.engine.config import PoseConfig

COARSE = Round(radius=6, images=4000, temperature=0.5, kept=32)
FINE = Round(radius=20, images=4000, temperature=1.0, kept=8, levels=4, crossed=True, masked=True, met="likely")
LOCAL = replace(FINE, kept=1, met="own", local=True)


@pytest.fixture
def costs() -> RoundCosts:
    return RoundCosts(PoseConfig(), box=48, padding=2.0, images=10_000)


@pytest.mark.parametrize("plan", [COARSE, FINE, LOCAL])
def test_images_and_frequencies_cost_and_images_that_are_not_there_do_not(costs, plan):
    once = costs.seconds(plan, 3)
    assert 1.5 < costs.seconds(replace(plan, images=8000), 3) / once < 2.1
    assert costs.seconds(replace(plan, images=10**6), 3) == costs.seconds(replace(plan, images=10_000), 3)
    assert costs.seconds(replace(plan, radius=plan.radius + 3), 3) > once


def test_species_cost_where_images_meet_them(costs):
    every, own = (
        costs.seconds(replace(COARSE, met=met), 20) / costs.seconds(replace(COARSE, met=met), 2)
        for met in ("all", "own")
    )
    assert every > 5 > 2 > own
    pooled = replace(COARSE, met="pool")
    assert costs.seconds(pooled, 4) == costs.seconds(replace(COARSE, met="all"), 4)


def test_what_rounds_took_here_is_what_others_are_foreseen_by_each_kind_by_itself(costs):
    left, foreseen = TimeLeft(costs), {plan: costs.seconds(plan, 4) for plan in (COARSE, FINE)}
    for _ in range(40):
        left.took(COARSE, 4, 3 * foreseen[COARSE])
    assert left.of([COARSE], 4) == pytest.approx(3 * foreseen[COARSE])
    # Of a kind that was not seen yet what the others say is believed; then what it says itself, by and by.
    assert left.of([FINE], 4) == pytest.approx(3 * foreseen[FINE])
    for _ in range(40):
        left.took(FINE, 4, foreseen[FINE])
    assert left.of([FINE, FINE], 4) == pytest.approx(2 * foreseen[FINE], rel=0.1)


def test_one_round_that_waited_for_a_compiler_does_not_count(costs):
    left = TimeLeft(costs)
    for seconds in (60.0, 1.0, 1.0, 1.0):
        left.took(COARSE, 2, seconds * costs.seconds(COARSE, 2))
    assert left.of([COARSE], 2) == pytest.approx(costs.seconds(COARSE, 2))
