"""A search for the poses of several species, stopped after every round, ends where an uninterrupted one does."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from cryodrgn_plugin.engine.ab_initio import climbing, insisting, stages
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import Ensemble, SimulationConfig, simulate_particles
from cryodrgn_plugin.engine.simulate.tiny import tiny_ensemble
from cryodrgn_plugin.engine.stopping import Stopped, stop_on_signals

pytestmark = pytest.mark.slow

QUICK = {
    "z_dim": 0,
    "seed": 1,
    "ab_initio.species": 2,
    "ab_initio.rounds": 2,
    "ab_initio.more_starts": 1,
    "ab_initio.most_climbs": 2,
    "ab_initio.images_per_round": 40,
    "ab_initio.refinements": 1,
    "poses.levels": 1,
    "poses.shift_extent": 0.07,
}
MOST_STOPS = 60


class StopsAfterEveryRound:
    """A reporter that sends this process the signal of a batch system whenever a round is done."""

    def __init__(self) -> None:
        self.rounds: list[int] = []

    def line(self, text: str) -> None:
        """Lines are of no interest here."""

    def step(self, stage: str, done: int, total: int, values: dict[str, float], left_s: float | None = None) -> None:
        if stage == "round":
            self.rounds.append(done)
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(scope="module")
def mixture(tmp_path_factory) -> Path:
    """Particles of a chain and of its first half, half of each."""
    chain = tiny_ensemble(1).states[0]
    both = Ensemble([chain, chain[np.arange(len(chain.coords_ang)) < 60]], np.arange(2.0), np.ones(2), ("a", "b"))
    settings = SimulationConfig(n_particles=120, box=16, pixel_size_ang=7.0, snr=1.0, shift_px=1.0)
    return simulate_particles(both, settings, tmp_path_factory.mktemp("mixture"), seed=3)


def test_a_search_for_several_species_that_is_stopped_after_every_round_equals_an_uninterrupted_one(
    mixture, tmp_path, monkeypatch
):
    for name, value in {"SORTING": 2, "CHECKS": 1, "RIPENING": 2, "PAIRED_STARTS": 1, "PARTED_STARTS": 2}.items():
        monkeypatch.setattr(stages, name, value)
    # No two starts agree, and every round that may be repeated is.
    monkeypatch.setattr(insisting, "ALIKE_DEG", 0.0)
    monkeypatch.setattr(climbing, "GAIN", -1.0)
    config = recipe_config("abinitio", {"particles": str(mixture), **QUICK})
    whole = Run.create(tmp_path / "whole", config)
    with whole.working():
        fit(whole, config)
    # The first start, one of pairs, two of each species alone, and one of those that are hard to place.
    assert {row["start"] for row in whole.metrics() if row.get("start")} == {1, 2, 3, 4}
    reporter, stops = StopsAfterEveryRound(), 0
    while stops < MOST_STOPS:
        stopped = Run.create(tmp_path / "stopped", config, resume=True)
        stopped.reporter = reporter
        try:
            with stop_on_signals(), stopped.working():
                fit(stopped, config, resume=True)
            break
        except Stopped:
            stops += 1
    assert stops == len(whole.metrics()) and reporter.rounds == list(range(1, stops + 1))
    assert stopped.poses_file.read_bytes() == whole.poses_file.read_bytes()
    for species in (1, 2):
        for which in ("", "half1", "half2"):
            files = [run.found_map_file(species, which).read_bytes() for run in (stopped, whole)]
            assert files[0] == files[1]
    for name in ("score", "radius", "species"):
        assert [row.get(name) for row in stopped.metrics()] == [row.get(name) for row in whole.metrics()]
