"""What a schedule of poses says for each epoch, and what is no schedule."""

import pytest

from cryodrgn_plugin.engine.config import PoseConfig
from cryodrgn_plugin.engine.errors import ConfigError
from cryodrgn_plugin.engine.networks.pose_schedule import EpochPlan, PoseSchedule


def schedule(text: str, every: int = 5) -> PoseSchedule:
    return PoseSchedule.of(PoseConfig(schedule=text, search_every=every))


def kinds(text: str, every: int) -> list[str]:
    whole = schedule(text, every)
    return [whole.plan(epoch).poses for epoch in range(whole.epochs)]


def test_poses_are_drawn_once_and_then_searched_every_few_epochs():
    assert kinds("search:8", 3) == ["draw", "search", "keep", "keep", "search", "keep", "keep", "search"]


def test_fixed_poses_are_kept_and_refined_ones_move_every_few_epochs():
    assert kinds("search:2, fixed:2, refine:3", 2) == ["draw", "search", "keep", "keep", "refine", "keep", "refine"]


def test_a_network_that_begins_anew_learns_before_it_is_searched_against():
    whole = schedule("search:3, reset, fixed:2, search:2, reset, search:2", 1)
    plans = [whole.plan(epoch) for epoch in range(whole.epochs)]
    assert [plan.reset for plan in plans] == [False, False, False, True, False, False, False, True, False]
    assert [plan.poses for plan in plans] == [
        "draw",
        "search",
        "search",
        *2 * ["keep"],
        *2 * ["search"],
        "keep",
        "search",
    ]


def test_the_last_frequency_limit_grows_over_the_first_stage_and_stays():
    whole = schedule("search:10, search:3", 1)
    marches = [whole.plan(epoch).march for epoch in range(1, whole.epochs)]
    assert marches == sorted(marches)
    assert marches[0] == pytest.approx(1 / 6) and marches[5:] == [1.0] * 7
    assert schedule("search:2").plan(1) == EpochPlan("search", march=1.0)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "'' has no place"),
        ("search", "'search' has no place"),
        ("search:0", "'search:0' has no place"),
        ("search:5, dance:3", "'dance:3' has no place"),
        ("reset, search:5", "'reset' has no place"),
        ("search:5, reset", "end with a stage"),
        ("fixed:5", "begin with a search"),
    ],
)
def test_what_is_no_schedule_is_one_sentence(text, sentence):
    with pytest.raises(ConfigError, match=sentence):
        schedule(text)
