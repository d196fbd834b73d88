"""Ready-made molecules: their states are what they are called, and the real ones bring what makes them hard."""

import numpy as np
import pytest

from cryodrgn_plugin.engine.atoms.atomic_model import bare_model
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.errors import ConfigError
from cryodrgn_plugin.engine.io.particles import read_particles
from cryodrgn_plugin.engine.simulate import Ensemble, SimulationConfig, equal_parts, tiny_ensemble
from cryodrgn_plugin.engine.simulate.assembly import AssemblyState, assembled, outer_parts
from cryodrgn_plugin.engine.simulate.presets import PRESETS
from cryodrgn_plugin.engine.simulate.reality import REALITY
from cryodrgn_plugin.engine.simulate.simulation import frame_radius_ang

REAL = [name for name in PRESETS if name.startswith("real_")]


@pytest.fixture(scope="module")
def ball():
    """A thousand atoms evenly in a ball of 50 Å."""
    points = np.random.default_rng(0).normal(size=(1000, 3))
    radius = np.random.default_rng(1).uniform(0, 1, (1000, 1)) ** (1 / 3)
    return bare_model(50 * radius * points / np.linalg.norm(points, axis=1, keepdims=True))


def test_outer_parts_lie_where_they_were_asked_for_have_their_mass_and_do_not_overlap(ball):
    directions = {"A": (1, 0, 0), "B": (0, 0, -2), "C": (1, 0.2, 0)}
    parts = outer_parts(ball, directions, {"A": 0.1, "B": 0.03, "C": 0.05})
    assert [parts[name].sum() for name in "ABC"] == pytest.approx([100, 30, 50], abs=1)
    assert np.sum(list(parts.values()), axis=0).max() == 1
    for name, direction in directions.items():
        middle = ball.coords_ang[parts[name]].mean(axis=0)
        assert middle @ direction / np.linalg.norm(direction) > 20
    assert np.ptp(ball.coords_ang[parts["B"]], axis=0).max() < 45


def test_states_of_an_assembly_lack_what_they_are_said_to_lack(ball):
    parts = {"A": ball.residues <= 100, "B": ball.residues > 900}
    ensemble = assembled(ball, parts, [AssemblyState("", 2), AssemblyState("B", 1), AssemblyState("AB", 3)])
    assert [len(state) for state in ensemble.states] == [1000, 900, 800]
    assert ensemble.states[1].residues.max() == 900
    assert ensemble.labels == ("whole", "without B", "without AB")
    assert ensemble.populations.tolist() == [2, 1, 3]


@pytest.mark.parametrize("name", ["real_ribosome", "real_complex_parts"])
def test_real_mixtures_are_six_states_that_differ_by_small_parts(name):
    ensemble = PRESETS[name].make(50)
    masses = np.array([state.weights.sum() for state in ensemble.states])
    lost = 1 - masses / masses[0]
    assert len(masses) == 6 and np.sum(ensemble.populations) == pytest.approx(1)
    assert max(ensemble.populations) < 0.3
    assert 0.01 < lost[1:].min() and lost.max() < 0.26


@pytest.mark.parametrize("name", REAL)
def test_a_real_molecule_fills_at_most_four_fifths_of_its_box(name):
    ensemble = PRESETS[name].make(3)
    assert 2 * frame_radius_ang(ensemble.states) < 0.8 * PRESETS[name].box_ang


def test_settings_asked_for_win_over_those_of_a_preset_and_these_over_the_defaults():
    config = PRESETS["real_adk"].config(48, contrast_sd=0.4, n_particles=10)
    assert (config.contrast_sd, config.n_particles, config.box) == (0.4, 10, 48)
    assert config.noise_spectrum == "ice" and config.snr == REALITY["snr"]
    assert config.pixel_size_ang == pytest.approx(115.2 / 48)
    assert config.astigmatism_ang == SimulationConfig.astigmatism_ang


def test_of_one_state_alone_it_is_that_with_most_particles_and_of_equals_the_middle_one():
    states = tiny_ensemble(4).states
    mixture = Ensemble(states, np.arange(4.0), np.array([1, 3, 2, 3]), ("a", "b", "c", "d"))
    assert mixture.most_populated().labels == ("d",)
    assert mixture.most_populated().coordinates.tolist() == [3.0]
    assert equal_parts(states[:3]).most_populated().coordinates.tolist() == [1.0]


def test_a_real_preset_comes_with_its_settings_unless_others_are_given(tmp_path, capsys):
    arguments = ["--preset", "real_adk", "--particles", "200", "--box", "32", "--states", "3"]
    assert main(["simulate", "--out", str(tmp_path / "real"), *arguments]) == 0
    truth = np.load(tmp_path / "real" / "truth.npz")
    assert truth["pose_error_deg"].std() == pytest.approx(1.5, rel=0.15)
    assert truth["shift_error_ang"].std() == pytest.approx(0.5 * 3.6, rel=0.15)
    assert truth["contrast"].std() == pytest.approx(0.15, rel=0.2)
    assert truth["snr"] == 0.05
    given = ["--pose_error_deg", "0", "--snr", "0.2", "--one-state"]
    assert main(["simulate", "--out", str(tmp_path / "given"), *arguments, *given]) == 0
    truth = np.load(tmp_path / "given" / "truth.npz")
    assert not truth["pose_error_deg"].any() and truth["snr"] == 0.2
    assert truth["shift_error_ang"].any() and len(truth["state_coordinates"]) == 1
    assert read_particles(tmp_path / "given" / "particles.star").ctf().b_factor_ang2[0] == 60
    assert "1 state, 200 images" in capsys.readouterr().out


def test_the_help_says_what_real_presets_make_of_a_setting(capsys):
    with pytest.raises(SystemExit):
        main(["simulate", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "(default 0; real_ presets 1.5; 0 or more)" in said
    assert all(name in said for name in PRESETS)


def test_a_setting_out_of_bounds_is_explained_with_a_preset_too():
    with pytest.raises(ConfigError, match=r"junk_share is 1\.0"):
        PRESETS["real_adk"].config(32, junk_share=1.0)
