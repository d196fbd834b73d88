"""Fourier shell correlation against a slow sum, planted resolutions, and RELION's own post-processing."""

import numpy as np
import pytest

from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.reconstruction.fsc import (
    fsc,
    fsc_area,
    fsc_corrected,
    resolution,
    shell_frequencies,
    shell_power,
)
from cryodrgn_plugin.engine.reconstruction.masks import lowpass, spherical_mask


def slow_fsc(a, b):
    """One shell at a time, over the whole of Fourier space."""
    box = a.shape[0]
    axis = np.fft.fftfreq(box, 1 / box)
    radius = np.rint(np.sqrt(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None, :] ** 2))
    fa, fb = np.fft.fftn(a), np.fft.fftn(b)
    curve = []
    for s in range(box // 2 + 1):
        x, y = fa[radius == s], fb[radius == s]
        curve.append((x * y.conj()).sum().real / np.sqrt((abs(x) ** 2).sum() * (abs(y) ** 2).sum()))
    return np.array(curve)


def blob(box, rng, n=40):
    """An asymmetric chain of Gaussians."""
    points = np.cumsum(rng.standard_normal((n, 3)), 0)
    points *= 0.22 * box / abs(points - points.mean(0)).max()
    points -= points.mean(0)
    axis = np.arange(box) - box // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    volume = sum(np.exp(-((x - p) ** 2 + (y - q) ** 2 + (z - r) ** 2) / 4.5) for p, q, r in points)
    return volume.astype(np.float32)


@pytest.mark.parametrize("box", [16, 21])
def test_curve_equals_the_slow_sum_over_all_of_fourier_space(box):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, box, box, box))
    b += a
    np.testing.assert_allclose(fsc(a, b), slow_fsc(a, b), atol=1e-12)


def test_a_map_agrees_with_itself_and_its_inverse_disagrees():
    a = np.random.default_rng(1).standard_normal((16, 16, 16))
    np.testing.assert_allclose(fsc(a, 3 * a), 1, atol=1e-12)
    np.testing.assert_allclose(fsc(a, -a), -1, atol=1e-12)


def test_noise_of_known_power_gives_the_expected_curve():
    rng = np.random.default_rng(2)
    signal = lowpass(rng.standard_normal((64, 64, 64)), 1.0, 5.0)
    noise = 0.3 * signal.std()
    halves = [signal + noise * rng.standard_normal(signal.shape) for _ in range(2)]
    power = shell_power(signal)
    expected = power / (power + noise**2 * signal.size)
    np.testing.assert_allclose(fsc(*halves)[3:], expected[3:], atol=0.06)


def test_resolution_is_interpolated_between_shells():
    curve = np.ones(33)
    curve[10:] = 0.0
    curve[9], curve[10] = 0.8, 0.2
    assert resolution(curve, 2.0, 64, 0.5) == pytest.approx(64 * 2.0 / 9.5)
    assert resolution(curve, 2.0, 64, 0.143) == pytest.approx(64 * 2.0 / (10 + 0.057 / 0.2))


def test_a_curve_that_never_falls_reports_nyquist():
    curve = np.ones(33)
    curve[-1] = 0
    assert resolution(curve, 1.7, 64) == 3.4


def test_a_curve_that_starts_below_reports_no_more_than_the_box():
    curve = np.zeros(33)
    assert resolution(curve, 1.0, 64, 0.5) == pytest.approx(128.0)
    assert resolution(-np.ones(33), 1.0, 64, 0.5) == pytest.approx(64 / 0.25)


def test_area_is_the_mean_of_the_shells_asked_for():
    curve = np.array([1.0, 1.0, 0.5, 0.0, 0.0])
    assert fsc_area(curve) == pytest.approx(1.5 / 4)
    assert fsc_area(curve, last_shell=2) == pytest.approx(0.75)
    np.testing.assert_allclose(shell_frequencies(8, 2.0), np.arange(5) / 16)


def test_correction_removes_what_a_mask_alone_correlates():
    """Half-maps that share nothing beyond shell 8: a tight mask makes them agree there, the corrected curve does
    not."""
    rng = np.random.default_rng(3)
    box = 48
    signal = lowpass(blob(box, rng), 1.0, box / 4)
    noise = 0.02 * signal.std()
    halves = [signal + noise * rng.standard_normal(signal.shape) for _ in range(2)]
    mask = spherical_mask(box, 5, 1)
    curves = fsc_corrected(*halves, mask)
    beyond = slice(curves.randomised_from + 2, box // 2)
    high = curves.masked[beyond]
    assert high.mean() > 0.05, "the mask of this test is too wide to matter"
    assert abs(curves.corrected[beyond].mean()) < 0.5 * high.mean()
    np.testing.assert_array_equal(curves.masked[: curves.randomised_from], curves.corrected[: curves.randomised_from])


def test_identical_halves_need_no_correction():
    a = blob(24, np.random.default_rng(4))
    curves = fsc_corrected(a, a, spherical_mask(24, 8, 3))
    assert curves.randomised_from is None
    np.testing.assert_allclose(curves.corrected, 1, atol=1e-9)


def test_maps_of_different_size_are_named():
    with pytest.raises(DataError, match="16 × 16 × 16, 24 × 24 × 24"):
        fsc(np.zeros((16, 16, 16)), np.zeros((24, 24, 24)))
