"""Local resolution and sharpening recover what was planted."""

import numpy as np
import pytest
import scipy.fft

from cryodrgn_plugin.engine.reconstruction.fsc import shell_power
from cryodrgn_plugin.engine.reconstruction.masks import lowpass, spherical_mask
from cryodrgn_plugin.engine.states.local_resolution import local_resolution
from cryodrgn_plugin.engine.states.sharpening import guinier, sharpened

BOX, PIXEL_ANG = 48, 2.0


def texture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((BOX,) * 3).astype(np.float32)


def blurred(volume: np.ndarray, b_factor_ang2: float) -> np.ndarray:
    axis = scipy.fft.fftfreq(BOX, PIXEL_ANG)
    k2 = axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + scipy.fft.rfftfreq(BOX, PIXEL_ANG) ** 2
    return scipy.fft.irfftn(scipy.fft.rfftn(volume) * np.exp(-b_factor_ang2 / 4 * k2), s=volume.shape)


def test_each_part_of_a_map_has_the_resolution_planted_there():
    left = (np.arange(BOX) < BOX // 2)[None, None, :]
    signal = np.where(left, texture(0), 5 * lowpass(texture(1), PIXEL_ANG, 16.0))
    halves = [signal + 0.3 * texture(seed) for seed in (2, 3)]
    found = local_resolution(*halves, PIXEL_ANG)
    ball = spherical_mask(BOX, 18, 0) > 0
    x = np.broadcast_to(np.arange(BOX), ball.shape)
    fine, coarse = (float(np.median(found[ball & part])) for part in (x < BOX // 2 - 8, x > BOX // 2 + 8))
    assert fine == pytest.approx(2 * PIXEL_ANG)
    # FSC 0.143 is a signal of a sixth of the noise: (5/0.3)² exp(−2 ln 2 (16 k)²) = 0.167.
    assert coarse == pytest.approx(6.9, rel=0.15)


def test_noise_has_no_resolution():
    found = local_resolution(texture(4), texture(5), PIXEL_ANG)
    assert np.median(found[spherical_mask(BOX, 18, 0) > 0]) > 15


def test_less_agreement_means_a_coarser_map():
    halves = [texture(6) + texture(seed) for seed in (7, 8)]
    whole = local_resolution(*halves, PIXEL_ANG)
    doubted = local_resolution(*halves, PIXEL_ANG, np.linspace(1, 0, BOX // 2 + 1))
    assert np.all(doubted >= whole - 1e-4) and np.median(doubted) > np.median(whole) + 0.5


@pytest.mark.parametrize("planted", [40.0, 120.0])
def test_guiniers_plot_gives_the_b_factor_that_blurred_a_map(planted):
    volume = blurred(texture(9), planted)
    line = guinier(volume, PIXEL_ANG, 4.2, np.ones(BOX // 2 + 1))
    assert line.b_factor_ang2 == pytest.approx(planted, rel=0.05)


def test_where_resolution_is_too_low_for_guiniers_plot_nothing_is_sharpened():
    assert guinier(texture(10), PIXEL_ANG, 9.0, np.ones(BOX // 2 + 1)).b_factor_ang2 == 0


def test_sharpening_undoes_the_blur_up_to_the_lowpass_and_keeps_nothing_beyond():
    original = texture(11)
    volume = sharpened(blurred(original, 90.0), PIXEL_ANG, 90.0, 6.0, np.ones(BOX // 2 + 1))
    gain = np.sqrt(shell_power(volume) / shell_power(original))
    last = BOX * PIXEL_ANG / 6.0
    np.testing.assert_allclose(gain[1 : int(last)], 1, rtol=1e-3)
    assert np.all(gain[int(last) + 4 :] < 1e-3)


def test_shells_count_by_how_sure_they_are():
    weights = np.linspace(1, 0.2, BOX // 2 + 1)
    volume = sharpened(texture(12), PIXEL_ANG, 0.0, 4.0, weights)
    gain = np.sqrt(shell_power(volume) / shell_power(texture(12)))
    np.testing.assert_allclose(gain[2:20], weights[2:20], rtol=0.02)
