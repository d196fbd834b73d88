"""The expected FSC with the truth: measured where half-maps share their prior, and honest about where it ends."""

import numpy as np
import pytest
import scipy.fft

from cryodrgn_plugin.engine.reconstruction.expectation import expected_from_halves, expected_fsc
from cryodrgn_plugin.engine.reconstruction.fsc import fsc, shell_products
from cryodrgn_plugin.engine.reconstruction.masks import spherical_mask
from cryodrgn_plugin.engine.simulate.tiny import lopsided_map

BOX = 40
MASK = spherical_mask(BOX, 14, 4)


def sharp_truth(seed: int = 0) -> np.ndarray:
    """A map with power in all shells: a lopsided envelope over a white texture."""
    texture = np.random.default_rng(seed).standard_normal((BOX,) * 3)
    return lopsided_map(BOX) * (1 + texture)


def noisy(volume: np.ndarray, scale: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return tuple(volume + scale * rng.standard_normal(volume.shape) for _ in range(2))


def without(volume: np.ndarray, lost: np.ndarray, from_shell: int) -> np.ndarray:
    """`volume` without the density of `lost` beyond a shell, as a prior leaves it."""
    axis = scipy.fft.fftfreq(BOX, 1 / BOX)
    radius = np.sqrt(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + scipy.fft.rfftfreq(BOX, 1 / BOX) ** 2)
    spectrum = scipy.fft.rfftn(lost) * (radius >= from_shell)
    return volume - scipy.fft.irfftn(spectrum, s=volume.shape)


@pytest.fixture(scope="module")
def prior_eats_detail():
    """Truth, half-maps that both lack half of its density beyond shell 6, and a reference that lacks nothing.

    The noise of a half-set is in its half-map and, twice as strong, in its half of the reference.
    """
    truth = sharp_truth()
    right = (np.arange(BOX) > BOX // 2)[None, None, :]
    noise = noisy(np.zeros_like(truth), 0.3, 1)
    blurred = without(truth, truth * right, 6)
    return truth, tuple(blurred + each / 2 for each in noise), tuple(truth + each for each in noise)


def test_what_a_shared_prior_took_is_found_where_half_maps_do_not_see_it(prior_eats_detail):
    truth, halves, reference = prior_eats_detail
    true = fsc((halves[0] + halves[1]) / 2, truth, MASK)[1:-1]
    by_halves = expected_from_halves(fsc(*halves, MASK))[1:-1]
    expected = expected_fsc(halves, reference, MASK)
    assert (by_halves - true).mean() > 0.1
    assert abs((expected.fsc[1:-1] - true).mean()) < 0.025
    assert expected.measured_to >= BOX // 2 - 1


def test_halves_that_share_nothing_but_the_truth_are_believed():
    truth = sharp_truth(3)
    halves = noisy(truth, 0.15, 4)
    expected = expected_fsc(halves, noisy(truth, 0.3, 5), MASK)
    np.testing.assert_allclose(expected.fsc[3:-1], expected_from_halves(fsc(*halves, MASK))[3:-1], atol=0.1)
    assert abs((expected.fsc - fsc((halves[0] + halves[1]) / 2, truth, MASK))[1:-1].mean()) < 0.025


def test_beyond_what_the_reference_shows_the_ratio_is_carried_on(prior_eats_detail):
    truth, halves, _ = prior_eats_detail
    blurred = noisy(without(truth, truth, 12), 0.3, 6)
    expected = expected_fsc(halves, blurred, MASK)
    by_halves = expected_from_halves(fsc(*halves, MASK))
    assert 9 <= expected.measured_to <= 14
    beyond = expected.fsc[expected.measured_to + 1 : -1] / by_halves[expected.measured_to + 1 : -1]
    np.testing.assert_allclose(beyond, beyond[0], atol=1e-9)
    assert beyond[0] < 0.95


def test_a_reference_of_noise_measures_nothing(prior_eats_detail):
    _, halves, _ = prior_eats_detail
    assert expected_fsc(halves, noisy(np.zeros((BOX,) * 3), 1.0, 7), MASK).measured_to <= 1


def test_shell_products_are_those_of_a_slow_sum():
    rng = np.random.default_rng(8)
    a, b = rng.standard_normal((2, 12, 12, 12))
    axis = np.fft.fftfreq(12, 1 / 12)
    radius = np.rint(np.sqrt(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None, :] ** 2))
    product = (np.fft.fftn(a) * np.fft.fftn(b).conj()).real
    slow = [product[radius == shell].sum() for shell in range(7)]
    np.testing.assert_allclose(shell_products(a, b), slow, rtol=1e-9)
