"""What recipes have in common: they say at the start what they cannot do, and the same seed leaves the same files."""

import pytest

from cryodrgn_plugin.engine.config import RECIPES, RunConfig, recipe_config
from cryodrgn_plugin.engine.errors import ConfigError
from cryodrgn_plugin.engine.recipes import TRAININGS, fit
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate.tiny import tiny_set
from cryodrgn_plugin.engine.validation import halves

SMALL = {"decoder.width": 16, "decoder.layers": 2, "encoder.width": 16, "encoder.layers": 1, "training.epochs": 2}
LATENT = {**SMALL, "z_dim": 1, "decoder.n_bases": 2, "closed_form.n_components": 2}
RIGID = {"z_dim": 0, "decoder.n_bases": 0}


@pytest.fixture(scope="module")
def star(tmp_path_factory):
    return tiny_set(tmp_path_factory.mktemp("particles"), n=120, box=16, states=2, seed=5)


def train(folder, config: RunConfig) -> Run:
    run = Run.create(folder, config)
    with run.working("train"):
        fit(run, config)
    return run


def test_every_recipe_has_defaults_and_a_training():
    assert list(TRAININGS) == list(RECIPES)


@pytest.mark.parametrize(
    ("recipe", "settings"),
    [("fast", LATENT), ("paper", LATENT), ("cryodrgn", LATENT), ("homogeneous", RIGID)],
)
def test_the_same_seed_leaves_the_same_files(recipe, settings, star, tmp_path):
    config = recipe_config(recipe, {**settings, "particles": str(star)})
    runs = [train(tmp_path / name, config) for name in ("one", "other")]
    for name in ("model_file", "half1", "half2"):
        one, other = (run.half_file(int(name[-1])) if "half" in name else run.model_file for run in runs)
        assert one.exists() == other.exists() == (name == "model_file" or recipe in ("fast", "homogeneous"))
        assert not one.exists() or one.read_bytes() == other.read_bytes(), f"{recipe}: {name}"


@pytest.mark.parametrize(("recipe", "z_dim"), [("fast", 1), ("abinitio", 1), ("abinitio", 0)])
def test_a_decoder_that_a_closed_form_cannot_make_is_named_before_anything_is_read(recipe, z_dim, tmp_path):
    config = recipe_config(recipe, {"decoder.kind": "mlp", "z_dim": z_dim, "particles": str(tmp_path / "absent.star")})
    with pytest.raises(ConfigError, match=f"decoder.kind is mlp, which the recipe {recipe} cannot make.* to basis"):
        train(tmp_path / "run", config)


@pytest.mark.parametrize(("recipe", "closed"), [("abinitio", True), ("cryodrgn2", False), ("bnb", False)])
def test_halves_of_a_run_that_found_poses_are_trained_by_a_recipe_that_makes_its_decoder(recipe, closed, tmp_path):
    config = halves._settings(recipe_config(recipe), tmp_path / "part.star", 0)
    assert TRAININGS[config.recipe](config).closed_form == closed
    assert config.poses.inference == "given"
