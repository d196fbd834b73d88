"""A latent space that has collapsed to one point is said to have; one that tells particles apart is not."""

import json

import numpy as np
import pytest

from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.collapse import LEAST_RELIABLE, has_collapsed, reliability
from cryodrgn_plugin.engine.latents import Latents
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import Ensemble, SimulationConfig, simulate_particles
from cryodrgn_plugin.engine.simulate.presets import PRESETS

pytestmark = pytest.mark.slow

SAID = "The latent space has collapsed: all"
RECIPES = {
    "fast": ["--z_dim", "2", "--closed_form.n_components", "4", "--closed_form.iterations", "6"],
    "paper": ["--recipe", "paper", "--decoder.n_bases", "2", "--z_dim", "2", "--training.epochs", "3",
              "--encoder.width", "32", "--encoder.layers", "1"],
    "cryodrgn": ["--recipe", "cryodrgn", "--z_dim", "2", "--training.epochs", "3", "--training.beta", "20",
                 "--encoder.width", "32", "--encoder.layers", "1", "--decoder.width", "16", "--decoder.layers", "1"],
}  # fmt: skip


def particles(folder, n, snr, ends):
    """Adenylate kinase, `ends` of its 10 states; the star file."""
    states = PRESETS["adk"].make(10).states
    chosen = Ensemble([states[k] for k in ends], np.arange(float(len(ends))), np.ones(len(ends)))
    config = SimulationConfig(n_particles=n, box=24, pixel_size_ang=115.2 / 24, snr=snr, shift_px=1)
    return simulate_particles(chosen, config, folder, 0)


def trained(star, out, recipe, capsys):
    """The run, and the last line that training it has printed."""
    capsys.readouterr()
    assert main(["train", str(star), "--out", str(out), *RECIPES[recipe]]) == 0
    return Run.open(out), capsys.readouterr().out.strip().splitlines()[-1]


@pytest.mark.parametrize("recipe", RECIPES)
def test_fifty_particles_too_weak_to_be_told_apart_are_said_to_lie_at_one_point(recipe, tmp_path, capsys):
    run, last_line = trained(particles(tmp_path / "set", 50, 0.02, (0, 1)), tmp_path / "run", recipe, capsys)
    assert SAID in last_line and "50 particles" in last_line and "Try more particles" in last_line
    notes = run.info["notes"]
    assert notes["collapsed"] is True and notes["reliability"] < LEAST_RELIABLE
    assert SAID in run.log_file.read_text().splitlines()[-1]


def test_it_stands_in_the_analysis_too(tmp_path, capsys):
    run, _ = trained(particles(tmp_path / "set", 60, 0.02, (0, 1)), tmp_path / "run", "fast", capsys)
    assert main(["analyze", str(run.path), "--clusters", "1", "--umap", "no", "--components", "1", "--steps", "2"]) == 0
    index = json.loads((run.results_dir("analysis") / "analysis.json").read_text())
    assert any(SAID in caution for caution in index["cautions"])
    assert SAID in capsys.readouterr().out


def test_states_that_are_told_apart_are_no_collapse(tmp_path, capsys):
    run, last_line = trained(particles(tmp_path / "set", 300, 0.3, (0, 9)), tmp_path / "run", "fast", capsys)
    assert SAID not in last_line and SAID not in run.log_file.read_text()
    assert run.info["notes"]["collapsed"] is False and run.info["notes"]["reliability"] > 0.5


def test_reliability_is_the_share_of_the_variance_that_is_known():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=20_000)
    for noise in (0.1, 0.5, 1.0, 3.0):
        # The posterior of a standard normal place seen with this noise.
        seen = truth + noise * rng.normal(size=len(truth))
        mean, left_open = seen / (1 + noise**2), np.sqrt(noise**2 / (1 + noise**2))
        latents = Latents(mean[:, None], np.arange(len(mean)), uncertainty=np.full(len(mean), left_open))
        assert reliability(latents) == pytest.approx(1 / (1 + noise**2), abs=0.02)


def test_one_point_without_a_known_uncertainty_is_a_collapse_and_no_latent_space_is_none():
    rows = np.arange(20)
    assert has_collapsed(Latents(np.ones((20, 2)), rows))
    assert not has_collapsed(Latents(np.eye(20), rows))
    assert not has_collapsed(Latents(np.zeros((20, 0)), rows))
