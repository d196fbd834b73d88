"""What is particular to the fused kernels: threads and blocks change nothing, and one kernel does what another does.

That they compute what they should is the contract of every backend (tests/contracts/test_backends.py).
"""

import numba
import numpy as np
import pytest

from cryodrgn_plugin.engine.geometry.rotations import random_matrices
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.slicing.kernels import scatter
from cryodrgn_plugin.engine.slicing.kernels.gather import (
    amplitude_gradients,
    compress_images,
    project_weighted,
    rotation_gradients,
)
from cryodrgn_plugin.engine.slicing.kernels.near import compress_near_images
from cryodrgn_plugin.engine.slicing.kernels.ordered_scatter import scatter_equations, scatter_near, scatter_weighted
from cryodrgn_plugin.engine.slicing.kernels.voxels import solve_voxels
from cryodrgn_plugin.engine.slicing.sphere import HalfSphere

RNG = np.random.default_rng(11)
SPHERE = HalfSphere(16, 1.5, 7.0)
LATTICE = HalfPlane(16, 7)
FREQS = LATTICE.indices.astype(np.float32)
GEOMETRY = SPHERE.row_start, np.float32(SPHERE.step), np.float32(SPHERE.radius)
IMAGES = 6


def turned() -> np.ndarray:
    return random_matrices(IMAGES, RNG).astype(np.float32)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def complex_normal(*shape: int) -> np.ndarray:
    return (RNG.standard_normal(shape) + 1j * RNG.standard_normal(shape)).astype(np.complex64)


def everything(threads: int) -> list[np.ndarray]:
    """What every kernel makes of the same input on so many threads."""
    rng = np.random.default_rng(2)
    coefs = rng.standard_normal((SPHERE.n_voxels, 2, 3), dtype=np.float32)
    amplitudes, moments = (rng.standard_normal((IMAGES, n), dtype=np.float32) for n in (3, 6))
    weights = rng.random((IMAGES, LATTICE.size), dtype=np.float32)
    values = rng.standard_normal((IMAGES, 2 * LATTICE.size), dtype=np.float32).view(np.complex64)
    rotations = random_matrices(IMAGES, rng).astype(np.float32)
    out, lhs, rhs = np.empty_like(values), np.zeros((SPHERE.n_voxels, 6), np.float32), np.zeros_like(coefs)
    gram, inner, by_s, by_r = np.empty((IMAGES, 3, 3)), np.empty((IMAGES, 3)), np.empty_like(amplitudes), rotations * 0
    moving = rng.standard_normal((SPHERE.n_voxels, 2, 4), dtype=np.float32)
    corrections, less = rng.standard_normal((IMAGES, 6, 3), dtype=np.float32), np.zeros_like(coefs)
    slopes = rng.standard_normal((IMAGES, LATTICE.size), dtype=np.float32)
    near_gram, near_inner = np.empty((IMAGES, 7, 7)), np.empty((IMAGES, 7))
    before = numba.get_num_threads()
    numba.set_num_threads(min(threads, before))
    try:
        geometry = (rotations, FREQS, *GEOMETRY)
        project_weighted(coefs, amplitudes, *geometry, out)
        scatter_equations(weights, moments, values, amplitudes, *geometry, lhs, rhs, threads)
        compress_images(coefs, values, weights, *geometry, gram, inner)
        near = (rotations, slopes, FREQS, *GEOMETRY)
        compress_near_images(moving, values, weights, *near, near_gram, near_inner)
        scatter_near(moving, weights, corrections, *near, less, threads)
        amplitude_gradients(values, coefs, *geometry, by_s)
        rotation_gradients(values, coefs, amplitudes, *geometry, by_r)
    finally:
        numba.set_num_threads(before)
    return [out, lhs, rhs, gram, inner, near_gram, near_inner, less, by_s, by_r]


@pytest.mark.parametrize("threads", [2, 3, 40])
def test_results_do_not_depend_on_the_number_of_threads(threads):
    for one, many in zip(everything(1), everything(threads), strict=True):
        np.testing.assert_array_equal(one, many)


def test_images_may_come_in_several_blocks(monkeypatch):
    whole = everything(2)
    monkeypatch.setattr(scatter, "BLOCK_POINTS", 2 * LATTICE.size)
    for one, many in zip(whole, everything(2), strict=True):
        np.testing.assert_allclose(one, many, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 3, 9])
def test_gradients_are_scattered_as_right_sides_are_bit_for_bit(channels):
    terms = channels * (channels + 1) // 2
    weights, moments = np.abs(normal(IMAGES, LATTICE.size)), normal(IMAGES, terms)
    targets, amplitudes, rotations = complex_normal(IMAGES, LATTICE.size), normal(IMAGES, channels), turned()
    lhs = np.zeros((SPHERE.n_voxels, terms), dtype=np.float32)
    rhs, alone = (np.zeros((SPHERE.n_voxels, 2, channels), dtype=np.float32) for _ in range(2))
    scatter_equations(weights, moments, targets, amplitudes, rotations, FREQS, *GEOMETRY, lhs, rhs, 2)
    scatter_weighted(targets, amplitudes, rotations, FREQS, *GEOMETRY, alone, 2)
    np.testing.assert_array_equal(alone, rhs)


def test_voxel_systems_are_solved_as_numpy_solves_them():
    channels, count = 5, 40
    root = RNG.standard_normal((count, channels, channels))
    matrices = root @ np.swapaxes(root, 1, 2)
    i, j = np.tril_indices(channels)
    rhs = normal(count, 2, channels)
    precision = RNG.uniform(0.5, 2, (3, channels)).astype(np.float32)
    shells = RNG.integers(0, 3, count).astype(np.int32)
    solution, variance = np.empty_like(rhs), np.empty((count, channels), dtype=np.float32)
    packed = np.ascontiguousarray(matrices[:, i, j], dtype=np.float32)
    solve_voxels(packed, rhs, precision, shells, solution, variance)
    full = matrices + precision[shells][:, :, None] * np.eye(channels)
    np.testing.assert_allclose(solution, np.linalg.solve(full[:, None], rhs[..., None])[..., 0], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(variance, np.linalg.inv(full).diagonal(axis1=1, axis2=2), rtol=1e-4)


def test_a_nan_amplitude_spoils_the_whole_image_and_a_nan_target_the_sums():
    """Fast arithmetic may not assume that numbers are finite."""
    coefs, amplitudes, rotations = normal(SPHERE.n_voxels, 2, 3), normal(IMAGES, 3), turned()
    targets, out = complex_normal(IMAGES, LATTICE.size), np.empty((IMAGES, LATTICE.size), np.complex64)
    targets[2, 5], amplitudes[3, 1] = np.nan, np.nan
    project_weighted(coefs, amplitudes, rotations, FREQS, *GEOMETRY, out)
    assert np.isnan(out).all(axis=1).tolist() == [False, False, False, True, False, False]
    rhs = np.zeros_like(coefs)
    scatter_weighted(targets, normal(IMAGES, 3), rotations, FREQS, *GEOMETRY, rhs, 1)
    assert np.isnan(rhs).any()
