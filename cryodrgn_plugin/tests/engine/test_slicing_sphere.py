"""The half-sphere's storage against brute force, and volumes into it and back."""

import numpy as np
import pytest

from cryodrgn_plugin.engine.errors import ConfigError
from cryodrgn_plugin.engine.geometry.rotations import random_matrices
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.slicing.sphere import RIM, HalfSphere

RNG = np.random.default_rng(5)


def blobs(box: int, count: int) -> np.ndarray:
    """(count, box, box, box): a few Gaussian blobs each, smooth enough to have no power at the Nyquist limit."""
    z, y, x = np.indices((box, box, box)) - box // 2
    volumes = np.zeros((count, box, box, box), dtype=np.float32)
    for volume in volumes:
        for cz, cy, cx in RNG.uniform(-box / 6, box / 6, (4, 3)):
            volume += np.exp(-((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2) / 5.0).astype(np.float32)
    return volumes


@pytest.mark.parametrize("padding", [1.0, 1.5, 2.0])
def test_stored_voxels_are_those_of_half_a_ball_each_once(padding):
    sphere = HalfSphere(12, padding, 5.0)
    reach = 5.0 * sphere.step + RIM
    k = np.arange(-int(reach) - 1, int(reach) + 2)
    z, y, x = (axis.ravel() for axis in np.meshgrid(k, k, k[k >= 0], indexing="ij"))
    inside = x**2 + y**2 + z**2 <= reach**2
    wanted = {(a, b, c) for a, b, c in zip(x[inside], y[inside], z[inside], strict=True)}
    assert sphere.n_voxels == len(sphere.indices) == len(wanted)
    assert {tuple(k) for k in sphere.indices.tolist()} == wanted


def test_the_row_table_leads_to_every_voxel_and_is_empty_elsewhere():
    sphere = HalfSphere(12, 1.5, 5.0)
    h = sphere.half_width
    x, y, z = sphere.indices.T
    np.testing.assert_array_equal(sphere.row_start[z + h, y + h] + x, np.arange(sphere.n_voxels))
    filled = np.zeros_like(sphere.row_start, dtype=bool)
    filled[z + h, y + h] = True
    np.testing.assert_array_equal(sphere.row_start >= 0, filled)


@pytest.mark.parametrize("padding", [1.0, 1.5, 2.0])
def test_every_neighbour_that_interpolation_may_ask_for_is_stored(padding):
    sphere, lattice = HalfSphere(16, padding, 7.0), HalfPlane(16, 7)
    stored = {tuple(k) for k in sphere.indices.tolist()}
    q = (lattice.indices @ random_matrices(300, RNG)[:, :2] * sphere.step).reshape(-1, 3)
    q[q[:, 0] < 0] *= -1
    base = np.unique(np.floor(q).astype(int), axis=0)
    for offset in np.ndindex(2, 2, 2):
        assert {tuple(k) for k in (base + offset).tolist()} <= stored


@pytest.mark.parametrize("padding", [1.0, 1.5, 2.0])
def test_volumes_survive_the_way_there_and_back(padding):
    sphere, volumes = HalfSphere(24, padding, 11.0), blobs(24, 3)
    back = sphere.to_volumes(sphere.from_volumes(volumes))
    assert np.abs(back - volumes).max() < 2e-4 * volumes.max()


def test_a_radius_limits_the_way_back_to_low_frequencies():
    sphere, volumes = HalfSphere(24, 1.5, 11.0), blobs(24, 1)
    low = sphere.to_volumes(sphere.from_volumes(volumes), radius=4.0)[0] / sphere.gridding()
    k = np.fft.fftfreq(24) * 24
    r = np.sqrt(k[:, None, None] ** 2 + k[None, :, None] ** 2 + k[None, None, :] ** 2)
    power = np.abs(np.fft.fftn(low)) ** 2
    assert power[r > 7].sum() < 1e-3 * power.sum()


def test_the_plane_of_real_volumes_is_hermitian_and_stays_so():
    sphere = HalfSphere(16, 1.5, 7.0)
    coefs = sphere.from_volumes(blobs(16, 2))
    own, partner = sphere.plane
    conjugate = np.array([1, -1])[:, None]
    np.testing.assert_allclose(coefs[own], coefs[partner] * conjugate, atol=1e-4)
    np.testing.assert_allclose(sphere.symmetrize(coefs.copy()), coefs, atol=1e-4)


def test_symmetrizing_gives_the_mean_of_each_pair_and_is_idempotent():
    sphere = HalfSphere(16, 1.5, 7.0)
    noise = RNG.standard_normal((sphere.n_voxels, 2, 2)).astype(np.float32)
    own, partner = sphere.plane
    once = sphere.symmetrize(noise.copy())
    np.testing.assert_allclose(once[own, 0], (noise[own, 0] + noise[partner, 0]) / 2, atol=1e-6)
    np.testing.assert_allclose(once[own, 1], (noise[own, 1] - noise[partner, 1]) / 2, atol=1e-6)
    np.testing.assert_array_equal(sphere.symmetrize(once.copy()), once)
    total = sphere.symmetrize(noise.copy(), total=True)
    np.testing.assert_allclose(total[own], 2 * once[own], atol=1e-6)
    assert (once[sphere.origin, 1] == 0).all()


def test_shells_and_multiplicity_count_the_whole_sphere():
    sphere = HalfSphere(16, 1.0, 7.0)
    k = np.arange(-10, 11)
    r = np.sqrt(k[:, None, None] ** 2 + k[None, :, None] ** 2 + k[None, None, :] ** 2).ravel()
    whole = np.bincount(np.rint(r[r <= 9]).astype(int))
    found = np.bincount(sphere.shells, sphere.multiplicity)
    np.testing.assert_array_equal(found, whole)


@pytest.mark.parametrize(("box", "radius", "words"), [(15, 7, "must be even"), (16, 9, "beyond the Nyquist limit 8")])
def test_an_impossible_sphere_is_refused(box, radius, words):
    with pytest.raises(ConfigError, match=words):
        HalfSphere(box, 1.5, radius)
