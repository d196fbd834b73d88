"""Searches for species from two seeds, from images to what they agree on, by the commands that a user gives."""

import numpy as np

from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import Ensemble, SimulationConfig, simulate_particles
from cryodrgn_plugin.engine.simulate.tiny import tiny_ensemble


def test_searches_from_two_seeds_agree_on_most_particles(tmp_path):
    chain = tiny_ensemble(1).states[0]
    both = Ensemble([chain, chain[np.arange(120) // 30 == 1]], np.arange(2.0), np.ones(2), ("whole", "quarter"))
    settings = SimulationConfig(n_particles=120, box=16, pixel_size_ang=7.0, snr=5.0, shift_px=1.0)
    star = simulate_particles(both, settings, tmp_path / "set", seed=3)
    quick = ["--ab_initio.rounds=3", "--ab_initio.refinements=1", "--ab_initio.images_per_round=40", "--poses.levels=1"]
    runs = [str(tmp_path / f"seed{seed}") for seed in (0, 1)]
    for seed, run in enumerate(runs):
        words = ["abinitio", str(star), "--out", run, "--homogeneous", "--species", "2", "--seed", str(seed), *quick]
        assert main([*words, "--data.ctf_applied", "none"]) == 0
    assert main(["agreement", *runs]) == 0
    results, state = Run.open(runs[0]).results("agreement"), np.load(star.parent / "truth.npz")["state"]
    assert [entry["found_in"] for entry in results.index["species"]] == [2, 2]
    agreed, species = results.arrays["agreed"], results.arrays["species"] - 1
    right = (species == state)[agreed].mean()
    assert agreed.mean() > 0.8 and max(right, 1 - right) > 0.9
