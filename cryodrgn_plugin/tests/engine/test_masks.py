"""Soft masks cover what they should and fall off smoothly."""

import numpy as np
import pytest

from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.reconstruction.masks import (
    NothingInside,
    auto_threshold,
    cosine_edge,
    lowpass,
    mask_from_map,
    mask_if_any,
    spherical_mask,
)


def ball(box, radius, centre=None):
    centre = (box // 2,) * 3 if centre is None else centre
    z, y, x = np.indices((box, box, box))
    return ((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 <= radius**2).astype(np.float32)


def test_sphere_is_one_inside_zero_outside_and_falls_monotonically():
    mask = spherical_mask(32, 8, 4)
    profile = mask[16, 16, 16:]
    assert (profile[:9] == 1).all() and (profile[12:] == 0).all()
    assert (np.diff(profile) <= 0).all() and profile[10] == pytest.approx(0.5, abs=1e-6)
    assert mask.max() == 1 and mask.min() == 0


def test_sphere_without_a_radius_ends_at_the_box():
    mask = spherical_mask(32)
    assert mask[16, 16, 0] == 0 and mask[16, 16, 1] > 0


def test_a_cosine_edge_of_no_width_is_a_step():
    np.testing.assert_array_equal(cosine_edge(np.array([-1.0, 0.0, 0.1]), 0), [1, 1, 0])


def test_lowpass_halves_the_amplitude_at_its_resolution():
    _z, _, x = np.indices((32, 32, 32))
    wave = np.cos(2 * np.pi * x / 8)
    np.testing.assert_allclose(lowpass(wave, 2.0, 16.0), 0.5 * wave, atol=1e-5)


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0])
def test_mask_covers_a_planted_particle_and_little_else(noise):
    particle = ball(48, 9) * 1.0
    noisy = particle + noise * np.random.default_rng(0).standard_normal(particle.shape)
    mask = mask_from_map(noisy, 3.0, extend_px=2, edge_px=4)
    assert mask[particle > 0].min() > 0.99
    assert (mask > 0.5).sum() < ball(48, 15).sum()
    assert mask[0].max() == 0 and mask.max() == 1


def test_threshold_lies_between_solvent_and_particle():
    level = auto_threshold(lowpass(ball(48, 10), 1.0, 4.0))
    assert 0.3 < level < 0.7


def test_specks_are_left_out_and_a_second_domain_is_not():
    volume = ball(48, 7, (24, 24, 14)) + ball(48, 5, (24, 24, 34)) + ball(48, 1, (6, 24, 24))
    mask = mask_from_map(volume, 1.0, threshold=0.5, lowpass_ang=0, extend_px=1, edge_px=1)
    assert mask[24, 24, 14] == 1 and mask[24, 24, 34] == 1 and mask[6, 24, 24] == 0


def test_a_threshold_above_the_map_is_named():
    with pytest.raises(DataError, match="No voxel of the map is above 5"):
        mask_from_map(ball(24, 5), 1.0, threshold=5.0)


def test_a_map_that_is_not_finite_is_a_sentence():
    volume = ball(16, 4)
    volume[3, 4, 5] = np.nan
    with pytest.raises(DataError, match="The map has values that are not finite"):
        mask_from_map(volume, 2.0)


def test_where_nothing_stands_out_the_mask_is_a_ball():
    nothing = np.zeros((24, 24, 24), np.float32)
    with pytest.raises(NothingInside, match="No voxel of the map is above"):
        mask_from_map(nothing, 1.0)
    np.testing.assert_array_equal(mask_if_any(nothing, 1.0), spherical_mask(24))
    particle = ball(48, 10)
    np.testing.assert_array_equal(mask_if_any(particle, 1.0), mask_from_map(particle, 1.0))
