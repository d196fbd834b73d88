"""One motion held against separate states, and groups of nodes with nothing between them."""

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.closed_form import node_count
from cryodrgn_plugin.engine.closed_form.em import posterior
from cryodrgn_plugin.engine.closed_form.gaps import groups_of_nodes
from cryodrgn_plugin.engine.closed_form.node_count import count_nodes
from cryodrgn_plugin.engine.closed_form.node_images import NodeImages
from cryodrgn_plugin.engine.closed_form.nodes import at_nodes, fit_nodes
from cryodrgn_plugin.engine.closed_form.one_motion import fit_curves
from cryodrgn_plugin.engine.closed_form.separate_states import shares_of_states
from cryodrgn_plugin.engine.config import RunConfig
from cryodrgn_plugin.engine.run import Run

from .test_node_count import compressed, with_mean


def arc(n: int, turn: float, rng: np.random.Generator) -> np.ndarray:
    """(n, 2) places on an arc through `turn` radians, all alike."""
    angle = rng.uniform(0, turn, n)
    return 3 * np.stack([np.cos(angle), np.sin(angle)], 1)


def test_a_curve_finds_the_arc_that_images_lie_on():
    rng = np.random.default_rng(1)
    gram, inner = compressed(with_mean(arc(1500, 2.0, rng)), 40.0, rng, rng.normal(1, 0.1, 1500))
    *_, line, curve = fit_curves(gram, inner, posterior(gram, inner).mean, 3, 0.2)
    angles = torch.atan2(curve.nodes[:, 2], curve.nodes[:, 1]).sort().values.numpy()
    np.testing.assert_allclose(angles, np.linspace(0, 2, len(angles)), atol=0.12)
    np.testing.assert_allclose(curve.nodes[:, 1:].norm(dim=1), 3.0, atol=0.15)
    assert curve.contrast_sd == pytest.approx(0.1, rel=0.15)
    assert curve.log_likelihoods(gram, inner).mean() > line.log_likelihoods(gram, inner).mean()


def test_places_on_a_curve_are_alike():
    rng = np.random.default_rng(2)
    gram, inner = compressed(with_mean(arc(30, 1.0, rng)), 10.0, rng)
    (line,) = fit_curves(gram, inner, posterior(gram, inner).mean, 1, 0.0)
    scores = at_nodes(gram, inner, line.nodes).scores.numpy()
    np.testing.assert_allclose(line.log_likelihoods(gram, inner), np.log(np.exp(scores).mean(1)), rtol=1e-9)
    steps = line.nodes.diff(dim=0)
    assert torch.allclose(steps, steps[:1].expand_as(steps)) and (line.nodes[:, 0] == 1).all()


def test_a_faint_motion_is_no_number_of_states():
    rng = np.random.default_rng(3)
    gram, inner = compressed(with_mean(arc(4000, 2.0, rng)), 2.0, rng)
    found = count_nodes(gram, inner, posterior(gram, inner).mean, 24, 0.0, 3)
    few = max(found.gain[count] for count in (3, 4, 5))
    assert found.gain[24] - few < 0.01 * few, "as many nodes as images can tell apart explain it as well"
    assert (found.count, found.states, found.degree) == (24, False, 2)
    assert "One motion" in found.sentence


@pytest.mark.parametrize(("moves", "degree"), [(True, 4), (False, 0)])
def test_a_motion_that_takes_more_amplitudes_than_states_is_held_against_as_many(moves, degree):
    """Three states sample a curve that bends too much for a parabola."""
    rng = np.random.default_rng(5)
    place = rng.uniform(0, 1, 3000) if moves else rng.choice([0.1, 0.5, 0.8], 3000)
    amplitudes = 3 * np.cos(np.pi * place[:, None] * [1, 2, 3])
    gram, inner = compressed(with_mean(amplitudes), 1.0, rng)
    start, halves = posterior(gram, inner).mean, torch.arange(3000).chunk(2)
    held_out = {count: node_count._held_out(gram, inner, start, halves, count, 0.0, 3) for count in (3, 4, 5)}
    assert node_count._degree_of_one_motion(gram, inner, start, halves, held_out, 3, 0.0) == degree


@pytest.fixture(scope="module")
def parts() -> tuple[np.ndarray, np.ndarray]:
    """Amplitudes (n, 3) of a motion with a part present or, 40 %, absent; and which."""
    rng = np.random.default_rng(4)
    absent = rng.random(3000) < 0.4
    return np.concatenate([arc(3000, 2.0, rng), np.where(absent, -1.0, 1.0)[:, None]], 1), absent


def groups(amplitudes: np.ndarray, information: float, seed: int) -> tuple[np.ndarray, torch.Tensor]:
    """Group of each node, and how far images belong to which node."""
    rng = np.random.default_rng(seed)
    gram, inner = compressed(with_mean(amplitudes), information, rng, rng.normal(1, 0.1, len(amplitudes)))
    found = fit_nodes(gram, inner, posterior(gram, inner).mean, 24, 30, seed, 0.1)
    population = found.responsible.population
    return groups_of_nodes(gram, found.nodes, population, found.contrast_sd), found.responsible.shares


def test_two_states_that_both_move_are_two_groups(parts):
    amplitudes, absent = parts
    found, shares = groups(amplitudes, 60.0, 5)
    assert found.max() == 1
    told = shares.numpy() @ (found == 1)
    assert np.mean((told > 0.5) == absent) in (pytest.approx(1, abs=0.01), pytest.approx(0, abs=0.01))


def test_parts_of_a_shape_are_the_same_when_a_killed_step_is_done_again(parts, tmp_path):
    rng = np.random.default_rng(9)
    gram, inner = compressed(with_mean(parts[0]), 60.0, rng)
    seen = NodeImages(gram, inner, posterior(gram, inner).mean, 0.1)
    run = Run.create(tmp_path / "run", RunConfig(particles="none.star"))
    run.note(directions=3, states=None, states_move=False)
    first, again = (shares_of_states(run, seen, 24, 0) for _ in range(2))
    assert first.shape[1] == 2 and torch.equal(first, again)
    assert run.info["notes"]["states"] == 2 and run.info["notes"]["states_move"]


def test_states_that_noise_runs_together_are_one_group(parts):
    assert (groups(parts[0], 3.0, 6)[0] == 0).all()


def test_a_motion_alone_is_one_group(parts):
    assert (groups(parts[0] * [1, 1, 0], 60.0, 7)[0] == 0).all()


def test_a_few_particles_are_no_group(parts):
    amplitudes, absent = parts
    few = np.concatenate([amplitudes[~absent], amplitudes[absent][:25]])
    assert (groups(few, 60.0, 8)[0] == 0).all()
