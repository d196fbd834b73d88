"""A training on images with aberrations finds what one without finds, and is far off when they are ignored."""

import numpy as np
import pytest

from cryodrgn_plugin.engine.analysis.truth import Truth, map_quality
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.decoders.restore import load_decoder
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.run import Run

from .aberrated_set import IGNORED, PERFECT, TOLD, aberrated_sets

pytestmark = pytest.mark.slow

RECIPES = {
    "fast": {"z_dim": 2, "closed_form.n_components": 2, "closed_form.iterations": 4, "closed_form.nodes": 10},
    "paper": {"z_dim": 1, "decoder.n_bases": 2, "training.epochs": 6, "encoder.width": 32, "training.batch_size": 32},
}


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return aberrated_sets(tmp_path_factory.mktemp("sets"), 300, 24)


@pytest.mark.parametrize("recipe", RECIPES)
def test_maps_are_as_good_as_through_a_perfect_lens(recipe, sets, tmp_path):
    quality = {}
    for name, star in sets.items():
        config = recipe_config(recipe, {"particles": str(star), "root": str(star.parent), **RECIPES[recipe]})
        run = Run.create(tmp_path / name, config)
        with run.working():
            fit(run, config)
        z, decoder, sample = run.latents().z, load_decoder(run), np.arange(0, 300, 15)
        maps = np.stack([decoder.volume(z[i]) for i in sample])
        quality[name] = map_quality(maps, Truth.open(star.parent), sample).box
    assert quality[TOLD] > quality[PERFECT] - 0.03
    assert quality[IGNORED] < quality[TOLD] - 0.1
