"""abinitio --species auto from images to what each species goes on with; killed and resumed, and where there is nothing
to tell apart.
"""

from pathlib import Path

import numpy as np
import pytest

from cryodrgn_plugin.engine.ab_initio import insisting, stages
from cryodrgn_plugin.engine.ab_initio.rounds import PoseRounds
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.io.particles import read_particles
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import Ensemble, SimulationConfig, simulate_particles
from cryodrgn_plugin.engine.simulate.tiny import tiny_ensemble

QUICK = [
    "--ab_initio.rounds=2",
    "--ab_initio.more_starts=1",
    "--ab_initio.most_climbs=1",
    "--ab_initio.refinements=1",
    "--ab_initio.images_per_round=40",
    "--poses.levels=1",
    "--poses.shift_extent=0.07",
]
ASKED = ["--homogeneous", "--species", "auto", "--data.ctf_applied", "none", *QUICK]
CHAIN = tiny_ensemble(1).states[0]
RESIDUES = np.arange(len(CHAIN.coords_ang))
THREE = (CHAIN, CHAIN[RESIDUES < 80], CHAIN[(RESIDUES >= 20) & (RESIDUES < 55)])
pytestmark = pytest.mark.slow
KILLED_IN, AGAIN_IN = 3, 11
"""The rounds in which the process dies, of those in which images are in pools; the second once they start so again."""


class Killed(BaseException):
    """Nothing may catch it, as nothing catches SIGKILL."""


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch):
    """Images start as pools twice, and there are no more rounds than it takes to see all kinds of them."""
    few = {"CHECKS": 2, "RIPENING": 3, "PARTED_STARTS": 1, "MOST_GROUPINGS": 2, "REGROUPED": 1}
    few |= {"DISSOLVING": 2, "GROUPED_DISSOLVED": (2, 3), "DISSOLVED": (4,)}
    for name, value in few.items():
        monkeypatch.setattr(stages, name, value)


def simulated(folder: Path, models, n: int, snr: float) -> str:
    kinds = Ensemble(list(models), np.arange(float(len(models))), np.ones(len(models)), tuple("abc"[: len(models)]))
    settings = SimulationConfig(n_particles=n, box=16, pixel_size_ang=7.0, snr=snr, shift_px=1.0)
    return str(simulate_particles(kinds, settings, folder, seed=3))


def test_species_that_are_found_go_on_and_a_killed_search_ends_where_an_uninterrupted_one_does(
    tmp_path, monkeypatch, capsys
):
    # No two starts agree, so that species count as hard to place and start anew together.
    monkeypatch.setattr(insisting, "ALIKE_DEG", 0.0)
    star, whole, killed = simulated(tmp_path / "set", THREE, 150, 1.5), tmp_path / "whole", tmp_path / "killed"
    assert main(["abinitio", star, "--out", str(whole), *ASKED]) == 0
    run = Run.open(whole)
    told = run.results("species").index
    classes, state = (
        read_particles(run.poses_file).numbers("rlnClassNumber"),
        np.load(Path(star).with_name("truth.npz")),
    )
    own = [np.bincount(state["state"][classes == kind["species"]]).max() for kind in told["species"]]
    assert 2 <= len(told["species"]) <= 4 and sum(kind["particles"] for kind in told["species"]) == 150
    assert sum(own) > 0.6 * 150
    assert "surely its own" in capsys.readouterr().out

    words = ["abinitio", star, "--out", str(killed), "--resume", *ASKED]
    advance, rounds = PoseRounds.advance, []

    def dies(self, maps, plan, rng):
        outcome = advance(self, maps, plan, rng)
        rounds.append(plan.met)
        if plan.met == "pool" and rounds.count("pool") in (KILLED_IN, AGAIN_IN):
            raise Killed
        return outcome

    with monkeypatch.context() as patch:
        patch.setattr(PoseRounds, "advance", dies)
        for command in (["abinitio", star, "--out", str(killed), *ASKED], words):
            with pytest.raises(Killed):
                main(command)
    assert rounds.count("pool") == AGAIN_IN and len({*rounds}) > 1
    assert main([*words, "--poses.kept", "3"]) == 2
    assert "was made with poses.kept = 8, not 3" in capsys.readouterr().err
    assert main(words) == 0
    for name in ("poses.star", "latents.npz", "species/species_001.star", "volumes/ab_initio/map_001.mrc"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    assert main(words) == 0 and "nothing to resume" in capsys.readouterr().out


def test_one_kind_of_molecule_is_one_species(tmp_path):
    assert (
        main(["abinitio", simulated(tmp_path / "set", THREE[:1], 120, 1.5), "--out", str(tmp_path / "run"), *ASKED])
        == 0
    )
    run = Run.open(tmp_path / "run")
    assert [kind["particles"] for kind in run.results("species").index["species"]] == [120]
    assert run.info["notes"]["share_of_nothing"] < 0.2 and "no molecule" not in run.log_file.read_text()


def test_of_noise_is_said_that_there_may_be_no_molecule_in_it(tmp_path):
    star = simulated(tmp_path / "set", THREE[:1], 120, 1e-6)
    assert main(["abinitio", star, "--out", str(tmp_path / "run"), *ASKED]) == 0
    assert "there may be no molecule in them" in Run.open(tmp_path / "run").log_file.read_text()
