"""Fits of beads without voxels agree with sums over voxels; an elastic network costs nothing when it is turned."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.atomic_motion.bead_overlap import BlurredMap, density, overlaps, scale_of
from cryodrgn_plugin.engine.atomic_motion.elastic import ElasticNetwork

BOX = 24


@pytest.fixture(scope="module")
def places():
    return np.random.default_rng(0).normal(0, 2.5, (12, 3))


@pytest.fixture(scope="module")
def volume():
    rng = np.random.default_rng(1)
    return density(rng.normal(0, 3, (20, 3)), rng.uniform(5, 9, 20), 1.2, BOX) + 0.01


def gaussians(places, width):
    """(n, D, D, D) written out."""
    z, y, x = np.indices((BOX,) * 3) - BOX // 2
    away2 = [(x - p[0]) ** 2 + (y - p[1]) ** 2 + (z - p[2]) ** 2 for p in places]
    return np.exp(-np.array(away2) / (2 * width**2)) / (2 * np.pi * width**2) ** 1.5


def test_what_beads_see_of_a_map_is_the_sum_over_its_voxels(volume, places):
    seen = BlurredMap(volume, sigma_px=1.5, blur_px=0.0)
    drawn = gaussians(places, 1.5)
    expected = np.einsum("nzyx,zyx->n", drawn, volume - volume.mean())
    np.testing.assert_allclose(seen(places)[0], expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_the_gradient_is_the_difference(volume, places):
    seen, step = BlurredMap(volume, 1.2, 1.0), 1e-4
    _, slopes = seen(places)
    for axis in range(3):
        moved = step * np.eye(3)[axis]
        difference = (seen(places + moved)[0] - seen(places - moved)[0]) / (2 * step)
        np.testing.assert_allclose(slopes[:, axis], difference, atol=1e-6 * np.abs(slopes).max() + 1e-9)


def test_overlaps_are_sums_over_voxels_and_the_misfit_is_the_squared_difference(volume, places):
    width, mass = 1.5, np.linspace(1, 2, len(places))
    drawn = gaussians(places, width)
    kernel, _ = overlaps(places, width)
    np.testing.assert_allclose(kernel, np.einsum("nzyx,mzyx->nm", drawn, drawn), atol=1e-6)
    shown = np.tensordot(mass, drawn, axes=1)
    squares = 0.5 * np.square(volume - volume.mean() - shown + shown.mean()).sum()
    values, _ = BlurredMap(volume, width, 0.0)(places)
    closed = -mass @ values + 0.5 * mass @ (kernel - BOX**-3) @ mass
    assert closed + 0.5 * np.square(volume - volume.mean()).sum() == pytest.approx(squares, rel=2e-4)


def test_drawn_beads_are_gaussians(places):
    np.testing.assert_allclose(density(places, np.ones(12), 1.6, BOX), gaussians(places, 1.6).sum(axis=0), atol=2e-4)


def test_grey_scale_and_width_of_beads_are_found(places):
    rng = np.random.default_rng(4)
    beads, weights = rng.normal(0, 3, (150, 3)), rng.uniform(5, 9, 150)
    noisy = 0.37 * density(beads, weights, 1.1, BOX)
    noisy = noisy + 0.02 * noisy.max() * rng.standard_normal(noisy.shape)
    found = scale_of(noisy, beads, weights, 9)
    assert found.amplitude == pytest.approx(0.37, rel=0.03) and found.sigma_px == pytest.approx(1.1, rel=0.03)


@pytest.fixture(scope="module")
def network(places):
    chain = np.repeat(["A", "B"], 6)
    return ElasticNetwork.of(places, chain, 4.0)


def test_a_network_that_is_turned_costs_nothing_and_one_that_is_stretched_does(network, places):
    turned = Rotation.from_rotvec([1.0, 0.4, -2.0]).apply(places) + [1, 2, 3]
    assert network.energy(turned) == pytest.approx(0, abs=1e-9)
    assert network.energy(1.1 * places) > 1


def test_the_force_of_a_network_is_the_slope_of_its_energy(network, places):
    bent, step = places + np.random.default_rng(2).normal(0, 0.3, places.shape), 1e-5
    curvature, gradient = np.zeros((36, 36)), np.zeros((12, 3))
    network.add_equations(bent, curvature, gradient)
    for number in range(36):
        moved = step * np.eye(36)[number].reshape(12, 3)
        slope = (network.energy(bent + moved) - network.energy(bent - moved)) / (2 * step)
        assert gradient.ravel()[number] == pytest.approx(slope, rel=1e-4, abs=1e-5)
    assert np.linalg.eigvalsh(curvature).min() > -1e-9 * np.abs(curvature).max()
