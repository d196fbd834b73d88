"""Searches for species from two seeds, from images to what they agree on, by the commands that a user gives; and runs
of tilt series, whose particles have several images each.
"""

import numpy as np
import pytest

from cryodrgn_plugin.engine.agreement.agreement_options import AgreementOptions
from cryodrgn_plugin.engine.agreement.agreement_report import agreement
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.io.star import read_star
from cryodrgn_plugin.engine.io.tables import read_table
from cryodrgn_plugin.engine.reconstruction import map_alignment
from cryodrgn_plugin.engine.results import Results
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import Ensemble, SimulationConfig, simulate_particles
from cryodrgn_plugin.engine.simulate.tiny import tiny_ensemble

from .species_runs import finished_run, two_molecules
from .tilt_sets import TiltSet, plant


@pytest.fixture(autouse=True)
def a_coarser_grid(monkeypatch):
    """Half as fine as usual: enough for maps of 16 voxels, in an eighth of the time."""
    monkeypatch.setattr(map_alignment, "_GRID_LEVEL", 1)


@pytest.mark.slow
def test_searches_from_two_seeds_agree_on_most_particles(tmp_path, few_starts):
    chain = tiny_ensemble(1).states[0]
    both = Ensemble([chain, chain[np.arange(120) // 30 == 1]], np.arange(2.0), np.ones(2), ("whole", "quarter"))
    settings = SimulationConfig(n_particles=200, box=16, pixel_size_ang=7.0, snr=5.0, shift_px=1.0)
    star = simulate_particles(both, settings, tmp_path / "set", seed=3)
    quick = [
        "--ab_initio.rounds=3",
        "--ab_initio.more_starts=1",
        "--ab_initio.most_climbs=1",
        "--ab_initio.refinements=1",
        "--ab_initio.images_per_round=40",
        "--poses.levels=1",
        "--poses.shift_extent=0.07",
    ]
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


def test_particles_of_tilt_series_count_once_and_are_listed_with_their_set(tmp_path):
    form = {"whole_stacks": False, "angles": True, "coordinates": "centred", "cut_out_turned": True, "dose": True}
    plant(tmp_path, TiltSet(**form, particles=8))
    state = np.repeat(np.arange(8) % 2, 4)
    wrong = np.where(np.arange(32) < 4, 1 - state, state)
    runs = [finished_run(tmp_path / name, tmp_path / "set.star", own) for name, own in (("a", state), ("b", wrong))]
    index = agreement(runs, AgreementOptions())
    results = Results.open(index.parent, "agreement")
    assert sum(entry["particles"] for entry in results.index["species"]) == 8
    assert results.index["runs"][0]["particles"] == 8
    assert sum(entry["agreed"] for entry in results.index["species"]) == 7
    for entry in results.index["species"]:
        name = f"species_{entry['species']:03d}"
        assert len(read_star(results.file(name))["particles"]) == entry["agreed"]
        assert results.file(f"{name}_optimisation_set").is_file()
    everything = read_star(results.file("particles"))["particles"]
    assert len(everything) == 8 and set(everything["rlnClassNumber"]) == {1, 2}
    assert read_table(results.file("particles_optimisation_set")).n == 32


def test_runs_that_agree_on_nothing_say_so(tmp_path):
    star, _ = two_molecules(tmp_path / "set", 180)
    kinds = np.random.default_rng(2).integers(3, size=(2, 180))
    runs = [
        finished_run(tmp_path / name, star, own, resolution_ang=(9.0,) * 3)
        for name, own in zip("ab", kinds, strict=True)
    ]
    results = Results.open(agreement(runs, AgreementOptions()).parent, "agreement")
    assert results.index["species"] == [] and results.figures == {}
    assert not results.arrays["agreed"].any() and (results.arrays["species"] == 0).all()
    assert "The runs agree on no species." in runs[0].log_file.read_text()
    assert len(results.index["divided_otherwise"]) == 0
