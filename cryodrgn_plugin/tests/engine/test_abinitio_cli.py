"""`abinitio`: what is asked for reaches the run as settings, and contradictions are one sentence."""

import pytest

from cryodrgn_plugin.engine.cli import abinitio_command
from cryodrgn_plugin.engine.cli.abinitio_command import RECIPE_SUMMARIES
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.config import RECIPES, finds_poses
from cryodrgn_plugin.engine.run import Run

from .planted_run import serve_fit


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Runs `abinitio p.star` with the words given, with a training that does nothing; gives the run's settings."""
    trained = []
    monkeypatch.setattr(abinitio_command, "_leave_species", lambda run: None)
    serve_fit(monkeypatch, lambda run, config, **how: trained.append((config, how)))

    def ask(*words: str):
        assert main(["abinitio", "p.star", "--out", str(tmp_path / "run"), "--overwrite", *words]) == 0
        assert trained[-1][0] == Run.open(tmp_path / "run").config
        return trained[-1][0]

    return ask


def test_nothing_said_looks_for_one_molecule_that_moves(asked):
    config = asked()
    assert (config.recipe, config.z_dim, config.ab_initio.species) == ("abinitio", 8, 1)
    assert config.poses.inference == "hierarchical"


def test_homogeneous_has_no_latent_space(asked):
    assert asked("--homogeneous", "--seed", "3").z_dim == 0


@pytest.mark.parametrize(("word", "species"), [("5", 5), ("auto", 0)])
def test_species_are_a_number_or_left_to_the_data(asked, word, species):
    config = asked("--species", word, "--z_dim", "2")
    assert (config.ab_initio.species, config.z_dim) == (species, 2)


def test_settings_of_the_search_are_options(asked):
    config = asked("--ab_initio.rounds", "7", "--poses.kept", "3", "--data.box", "48")
    assert (config.ab_initio.rounds, config.poses.kept, config.data.box) == (7, 3, 48)


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--homogeneous", "--z_dim", "2"], "--homogeneous has no latent space, but z_dim is 2"),
        (["--species", "none"], "--species is 'none'; give a number of at least 1, or auto"),
        (["--species", "0"], "--species is '0'; give a number of at least 1, or auto"),
        (["--species", "2", "--ab_initio.species", "3"], "are the same; give one of them"),
        (["--recipe", "fast"], "The recipe fast takes the poses of the star file; use `cryodrgn-plugin train`"),
        (["--recipe", "slow"], "recipe is 'slow'; choose one of"),
        (["--ab_initio.rounds", "1"], "ab_initio.rounds is 1; it must be at least 2"),
    ],
)
def test_a_contradiction_is_one_sentence_and_leaves_no_run(tmp_path, capsys, words, sentence):
    assert main(["abinitio", "p.star", "--out", str(tmp_path / "run"), *words]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_help_explains_every_recipe_that_finds_poses(capsys):
    with pytest.raises(SystemExit):
        main(["abinitio", "--help"])
    shown = capsys.readouterr().out
    for name in filter(finds_poses, RECIPES):
        assert f"\n  {name:15}  {RECIPE_SUMMARIES[name]}" in shown
    assert "\n  fast " not in shown
