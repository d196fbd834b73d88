"""The memory of a training is told before it, about as it will be, and what to do where a machine has less."""

import pytest

from cryodrgn_plugin.engine.config import memory_needs, recipe_config


def test_every_part_grows_with_what_it_is_of():
    at_once = recipe_config("fast", {"closed_form.equations_mb": 10**6})
    small = memory_needs(at_once, 1000, 64)
    many, large = memory_needs(at_once, 4000, 64), memory_needs(at_once, 1000, 128)
    assert many.compressed == pytest.approx(4 * small.compressed) and many.rows == pytest.approx(4 * small.rows)
    assert many.images == pytest.approx(4 * small.images) and many.maps == small.maps
    assert large.maps / small.maps == pytest.approx(8, rel=0.05) and large.compressed == small.compressed
    wide = memory_needs(recipe_config("fast", {"z_dim": 16, "closed_form.equations_mb": 10**6}), 1000, 64)
    assert 2 * small.maps < wide.maps < 4 * small.maps  # equations are of pairs of maps


def test_images_are_bounded_by_the_cache_and_a_larger_box_is_cropped():
    million, ten = (memory_needs(recipe_config("fast"), count, 64) for count in (10**6, 10**7))
    assert million.images == ten.images < 512
    cached = memory_needs(recipe_config("fast", {"data.store": "off"}), 10**6, 64)
    assert cached.images == pytest.approx(million.images + 512)
    assert memory_needs(recipe_config("fast"), 1000, 400) == memory_needs(recipe_config("fast"), 1000, 128)
    few = memory_needs(recipe_config("fast", {"data.max_particles": 500}), 10**6, 64)
    assert few.compressed == memory_needs(recipe_config("fast"), 500, 64).compressed and few.rows == million.rows


def test_a_machine_with_less_is_named_with_what_to_lower():
    needs = memory_needs(recipe_config("fast", {"data.box": 256}), 1000, 256)
    assert needs.warning(2 * needs.total) == ""
    assert "this machine has 6.0 GB; lower data.box or z_dim." in needs.warning(6 * 1024)
    assert "closed_form.n_components, or use fewer" in memory_needs(recipe_config("fast"), 10**7, 64).warning(8 * 1024)
    assert "GB for maps" in needs.sentence()
    assert memory_needs(recipe_config("paper"), 1000, 64) is None


def test_equations_take_no_more_than_the_maps_or_what_was_asked_for():
    settings = {"data.box": 256, "z_dim": 16}
    usual, small = (memory_needs(recipe_config("fast", settings), 1000, 256, mb) for mb in (64 * 1024, 13 * 1024))
    assert usual == small and usual.total < 13 * 1024 and small.warning(13 * 1024) == ""
    every = memory_needs(recipe_config("fast", settings | {"closed_form.equations_mb": 10**6}), 1000, 256)
    asked = memory_needs(recipe_config("fast", settings | {"closed_form.equations_mb": 12_000}), 1000, 256)
    assert every.maps > 25 * 1024 and every.maps - asked.maps > 8 * 1024 and asked.maps > usual.maps
    assert memory_needs(recipe_config("fast", settings), 1000, 256, 8 * 1024).warning(8 * 1024)  # maps alone take more
