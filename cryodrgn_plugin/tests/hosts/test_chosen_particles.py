"""Selections that are made in the explorer, without any window."""

import numpy as np
import pytest

pytest.importorskip("pwem")

from cryodrgn_plugin.viewers.chosen_particles import (
    ADD,
    SUBTRACT,
    WITHIN,
    Selections,
    completed,
    following,
    inside_outline,
)

N = 10
U, V = "rlnDefocusU", "rlnDefocusV"


def among(*indices: int) -> np.ndarray:
    return np.isin(np.arange(N), indices)


def test_selections_add_subtract_and_meet_and_every_step_can_be_undone():
    made = Selections(N)
    made.take(among(1, 2, 3))
    made.take(among(3, 4), ADD)
    made.take(among(2), SUBTRACT)
    assert np.flatnonzero(made.chosen).tolist() == [1, 3, 4]
    made.take(among(3, 4, 5), WITHIN)
    assert np.flatnonzero(made.chosen).tolist() == [3, 4] and made.count == 2
    made.invert()
    assert made.count == N - 2
    for _ in range(2):
        made.undo()
    assert np.flatnonzero(made.chosen).tolist() == [1, 3, 4]
    for _ in range(9):
        made.undo()
    assert made.chosen is None


def test_what_is_taken_off_nothing_is_taken_off_all():
    made = Selections(N)
    made.take(among(0), SUBTRACT)
    assert made.count == N - 1


def test_kept_selections_do_not_change_with_the_one_at_hand():
    made = Selections(N)
    made.take(among(1, 2))
    assert made.keep() == "selection 1" and made.keep("closed") == "closed" and made.keep() == "selection 2"
    made.take(among(7), ADD)
    assert made.kept["closed"].tolist() == among(1, 2).tolist()


def test_rules_and_outlines_choose_as_the_engine_does():
    columns = {"z1": np.arange(N) - 4.5}
    assert following("z1 > 0 and z1 < 3", columns, N).tolist() == among(5, 6, 7).tolist()
    corners = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    assert inside_outline(corners, np.c_[columns["z1"], np.zeros(N)]).tolist() == among(4, 5).tolist()


@pytest.mark.parametrize(
    ("rule", "offered"),
    [("rlnD", [U, V]), ("z1 > 0 and (rlnde", [U, V]), ("rlndefocusv", []), ("z1 > 0 ", []), ("", [])],
)
def test_the_word_at_the_end_of_a_rule_is_completed(rule, offered):
    assert completed(rule, ["z1", U, V]) == offered
