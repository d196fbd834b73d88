"""States that were told apart stay so while images are placed anew, by maps of images that several states share."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.analysis.truth import Truth
from cryodrgn_plugin.engine.closed_form import fast_recipe, judging_maps
from cryodrgn_plugin.engine.closed_form.harmonics import LEAST_VISIBLE, harmonics
from cryodrgn_plugin.engine.closed_form.nodes import Responsibilities
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import simulate_particles
from cryodrgn_plugin.engine.simulate.presets import PRESETS

SETTINGS = {"closed_form.iterations": 1, "closed_form.n_components": 2, "closed_form.pose_errors": False}
COMPLETE = 0
"""The state that lacks nothing: the first to be lost, as it differs most from a map that is too faint."""


@pytest.fixture(scope="module")
def weak(tmp_path_factory):
    """1,000 images of six states, poses wrong, hardly one image that can be told for sure."""
    preset, folder = PRESETS["real_complex_parts"], tmp_path_factory.mktemp("weak")
    simulate_particles(preset.make(6), preset.config(24, n_particles=1000, snr=0.2), folder, 3)
    return folder


def placed_twice(folder, scratch) -> tuple[np.ndarray, np.ndarray]:
    """Populations of the states, (S,) true, and (S,) after two rounds from where the true states were known."""
    config = recipe_config("fast", {**SETTINGS, "particles": str(folder / "particles.star")})
    dataset, state = ParticleDataset.open(config.particles, config.data), Truth.open(folder).state
    populations = np.bincount(state) / len(state)
    recipe = fast_recipe.ClosedForm(Run.create(scratch, config), config, dataset)
    recipe.run.note(directions=0)
    shares = np.eye(len(populations))[state] * 0.999 + 0.001 / len(populations)
    known = Responsibilities(torch.from_numpy(shares).log(), torch.from_numpy(populations))
    now = replace(recipe.start(), done=len(recipe.bands), directions=None, responsibilities=known)
    for _ in range(2):
        now = replace(recipe.advance(now)[0], done=now.done + 1)
    return populations, now.responsibilities.population.numpy()


def test_a_state_keeps_its_images(weak, tmp_path):
    true, found = placed_twice(weak, tmp_path / "run")
    assert found[COMPLETE] > true[COMPLETE] / 2


def test_maps_that_are_shrunk_would_lose_it(weak, tmp_path, monkeypatch):
    monkeypatch.setattr(judging_maps, "UNFILTERED_FREEDOM", 1.0)
    true, found = placed_twice(weak, tmp_path / "run")
    assert found[COMPLETE] < true[COMPLETE] / 2


def test_functions_that_no_image_sees_are_zero():
    rng = np.random.default_rng(4)
    # Images know on which side of the middle they are, and nothing else.
    side = np.repeat([[1, 1, 0, 0], [0, 0, 1, 1]], 200, axis=0) + 1e-3 * rng.random((400, 4))
    shares = torch.from_numpy(side / side.sum(1, keepdims=True))
    found = harmonics(Responsibilities(shares.log(), shares.mean(0)), 3)
    assert found.visibility[0] > 0.9 and found.values[:, 0].abs().min() > 0.9
    assert float(found.visibility[1:].abs().max()) < LEAST_VISIBLE and not found.values[:, 1:].any()


def test_the_slowest_function_stays_though_nothing_is_seen():
    shares = torch.full((50, 4), 0.25, dtype=torch.float64) + 1e-3 * torch.rand(50, 4, dtype=torch.float64)
    shares = shares / shares.sum(1, keepdim=True)
    found = harmonics(Responsibilities(shares.log(), shares.mean(0)), 3)
    assert found.values[:, 0].any() and not found.values[:, 1:].any()
