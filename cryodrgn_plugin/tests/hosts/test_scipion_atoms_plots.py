"""Plots of an atomic model in the explorer show what was found, and say it in words."""

import numpy as np
import pytest

pytest.importorskip("pwem")

from cryodrgn_plugin.viewers import palette
from cryodrgn_plugin.viewers.atoms_content import AtomsContent
from cryodrgn_plugin.viewers.atoms_plots import (
    draw_check,
    draw_mobility,
    draw_motion,
    draw_occupancy,
    draw_parts,
    plots_of,
)

COORDINATE = np.linspace(0, 1, 400)
TURN_DEG = 60 * COORDINATE - 30


@pytest.fixture
def atoms() -> AtomsContent:
    """Two chains; the second is part 2, which turns through 60° along the coordinate and lacks in the last state."""
    chains, residues = np.repeat(["A", "B"], 30), np.tile(np.arange(1, 31), 2)
    part, mobility = np.repeat([1, 2], 30), np.r_[np.full(30, 0.2), np.linspace(3, 9, 30)]
    entries = [
        {"part": n, "residues": f"{c}:1-30", "share": 0.5, "turns_deg": [-30.0, 30.0], "error_deg": 1.5,
         "occupancy": there}
        for n, c, there in ((1, "A", 1.0), (2, "B", 0.7))
    ]  # fmt: skip
    states = [{"share": share, "occupancy": [1.0, there]} for share, there in ((0.7, 0.98), (0.3, 0.03))]
    bias = {
        "along": {"model": [0.8] * 60, "halves": [0.6] * 60, "flagged": [False] * 55 + [True] * 5},
        "model_fsc": [1, 0.9, 0.5], "expected_fsc": [1, 0.95, 0.6], "outcome": "wrong", "trusted": False,
        "verdict": "Do not trust it around B:26-30.", "as_given": {"verdict": "It has a shape that particles have."},
    }  # fmt: skip
    still, shaped = np.zeros(400), {"z1": COORDINATE, "z2": np.cos(9 * COORDINATE)}
    noisy = TURN_DEG + np.random.default_rng(0).normal(0, 2, 400)
    return AtomsContent(
        chains, residues, part, mobility, entries, states, np.c_[still, noisy], np.c_[still, np.abs(noisy) / 10],
        shaped, [], 0.25, bias,
    )  # fmt: skip


def test_mobility_has_a_point_per_residue_in_the_colour_of_its_part(atoms):
    figure = palette.figure()
    said = draw_mobility(figure, atoms, "z1")
    first, second = (points.get_offsets().data for points in figure.axes[0].collections)
    np.testing.assert_allclose(np.r_[first, second], np.c_[np.arange(60), atoms.mobility_ang])
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["A", "B"]
    assert said == "Residue B:30 moves farthest, by 9.0 Å."


def test_parts_are_bars_along_their_chains(atoms):
    figure = palette.figure()
    said = draw_parts(figure, atoms, "z1")
    bars = [bar for bar in figure.axes[0].patches if bar.get_width() > 0]
    assert [(bar.get_x(), bar.get_width()) for bar in bars] == [(0.5, 30.0)] * 2
    assert "part 2: B:1-30" in said


def test_the_motion_follows_the_coordinate_that_was_chosen(atoms):
    figure = palette.figure()
    said = draw_motion(figure, atoms, "z1")
    turns = figure.axes[0].lines[0].get_xydata()
    np.testing.assert_allclose(turns[:, 1], 60 * turns[:, 0] - 30, atol=2.5)
    assert figure.axes[1].get_xlabel() == "z1" and "part 2 from -30.0° to 30.0° (± 1.5°)" in said
    draw_motion(other := palette.figure(), atoms, "z2")
    assert other.axes[0].lines[0].get_xydata()[0, 0] < -0.9


def test_occupancy_is_drawn_per_state(atoms):
    figure = palette.figure()
    said = draw_occupancy(figure, atoms, "z1")
    np.testing.assert_allclose(figure.axes[0].lines[1].get_ydata(), [0.98, 0.03])
    np.testing.assert_allclose([bar.get_height() for bar in figure.axes[1].patches], [70, 30])
    assert said == "Mean occupancy over the particles: part 1 1.00, part 2 0.70."


def test_the_check_marks_flagged_residues_and_begins_with_the_outcome(atoms):
    figure = palette.figure()
    said = draw_check(figure, atoms, "z1")
    assert figure.axes[0].collections[0].get_offsets().data[:, 0].tolist() == list(range(55, 60))
    assert said.startswith("Wrong. Do not trust it around B:26-30.")


def test_what_was_left_out_has_no_plot(atoms):
    assert "check of the model" in plots_of(atoms) and "motion undone" not in plots_of(atoms)
