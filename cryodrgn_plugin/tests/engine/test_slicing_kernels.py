"""The fused kernels against the torch reference in float64, against sums written out, and against themselves."""

import numba
import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.geometry.rotations import random_matrices
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.slicing import cpu, reference, scatter
from cryodrgn_plugin.engine.slicing.exact import exact_slices
from cryodrgn_plugin.engine.slicing.operator import kernel_geometry
from cryodrgn_plugin.engine.slicing.sphere import HalfSphere

RNG = np.random.default_rng(11)
SPHERE = HalfSphere(16, 1.5, 7.0)
LATTICE = HalfPlane(16, 7)
FREQS = LATTICE.indices.astype(np.float32)
GEOMETRY = kernel_geometry(SPHERE)
IMAGES = 6


def turned(scaled: bool = False) -> np.ndarray:
    """Random rotations; scaled ones are those of images with another pixel size, and reach beyond the limit."""
    scale = np.linspace(0.8, 1.2, IMAGES)[:, None, None] if scaled else 1.0
    return (random_matrices(IMAGES, RNG) * scale).astype(np.float32)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def complex_normal(*shape: int) -> np.ndarray:
    return (RNG.standard_normal(shape) + 1j * RNG.standard_normal(shape)).astype(np.complex64)


def slices_of(coefs: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """(B, F, C) complex128 by the reference."""
    tensors = (torch.from_numpy(coefs.astype(np.float64)), torch.from_numpy(rotations.astype(np.float64)))
    return reference.slice_channels(*tensors, SPHERE, torch.from_numpy(FREQS.astype(np.float64))).numpy()


def assert_close(found, wanted):
    assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()


def spread(values: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """(M, C) by a loop: Σ over coefficients of trilinear weight · values (B, F, C), complex ones as they are stored."""
    h, total = SPHERE.half_width, np.zeros((SPHERE.n_voxels, values.shape[2]), dtype=np.complex128)
    for b, f in np.ndindex(*values.shape[:2]):
        q = (FREQS[f].astype(np.float64) @ rotations[b, :2].astype(np.float64)) * SPHERE.step
        value = values[b, f]
        if (q**2).sum() > (7.0 * SPHERE.step) ** 2 + 1e-3:
            continue
        if q[0] < 0:
            q, value = -q, np.conj(value)
        base = np.floor(q).astype(int)
        for offset in np.ndindex(2, 2, 2):
            x, y, z = base + offset
            weight = np.where(offset, q - base, 1 - (q - base)).prod()
            total[SPHERE.row_start[z + h, y + h] + x] += weight * value
    return total


@pytest.mark.parametrize("scaled", [False, True], ids=["rotations", "scaled rotations"])
@pytest.mark.parametrize("channels", [1, 5, 17])
def test_fused_slices_are_the_references(channels, scaled):
    coefs, amplitudes, rotations = normal(SPHERE.n_voxels, 2, channels), normal(IMAGES, channels), turned(scaled)
    wanted = slices_of(coefs, rotations)
    out = np.empty((IMAGES, LATTICE.size), dtype=np.complex64)
    cpu.project_weighted(coefs, amplitudes, rotations, FREQS, *GEOMETRY, out)
    assert_close(out, np.einsum("bfc,bc->bf", wanted, amplitudes))
    parts = np.empty((IMAGES, LATTICE.size, 2, channels), dtype=np.float32)
    cpu.project_channels(coefs, rotations, FREQS, *GEOMETRY, parts)
    assert_close(parts[:, :, 0] + 1j * parts[:, :, 1], wanted)


@pytest.mark.parametrize(("fill", "limits"), [(0.6, (0.10, 0.04, 0.025)), (0.9, (0.30, 0.11, 0.06))])
def test_slices_come_closer_to_the_fourier_sum_with_padding(fill, limits):
    """White noise in a ball of that share of the box against the sum without interpolation; the second is scaled."""
    z, y, x = np.indices((24, 24, 24)) - 12
    volume = RNG.standard_normal((24, 24, 24)) * (x**2 + y**2 + z**2 <= (fill * 12) ** 2)
    lattice, rotations = HalfPlane(24, 11), random_matrices(2, RNG) * np.array([1.0, 0.9])[:, None, None]
    exact = exact_slices(volume, rotations, lattice)
    for padding, limit in zip((1.0, 1.5, 2.0), limits, strict=True):
        sphere, out = HalfSphere(24, padding, 11.0), np.empty((2, lattice.size), dtype=np.complex64)
        where = (rotations.astype(np.float32), lattice.indices.astype(np.float32), *kernel_geometry(sphere))
        cpu.project_weighted(sphere.from_volumes(volume[None]), np.ones((2, 1), np.float32), *where, out)
        error = np.linalg.norm(out - exact) / np.linalg.norm(exact)
        assert limit / 3 < error < limit


def test_coefficients_beyond_the_limit_are_zero():
    coefs, rotations = normal(SPHERE.n_voxels, 2, 2), turned() * np.float32(1.3)
    out = np.empty((IMAGES, LATTICE.size), dtype=np.complex64)
    cpu.project_weighted(coefs, normal(IMAGES, 2), rotations, FREQS, *GEOMETRY, out)
    beyond = np.linalg.norm(FREQS, axis=1) * 1.3 > 7.0001
    assert beyond.any() and (out[:, beyond] == 0).all() and (out[:, ~beyond] != 0).all()


@pytest.mark.parametrize("channels", [1, 5, 17])
def test_scattering_is_the_adjoint_of_slicing(channels):
    """⟨S x, y⟩ = ⟨x, S* y⟩."""
    coefs, amplitudes, rotations = normal(SPHERE.n_voxels, 2, channels), normal(IMAGES, channels), turned(scaled=True)
    values = complex_normal(IMAGES, LATTICE.size)
    out = np.empty_like(values)
    cpu.project_weighted(coefs, amplitudes, rotations, FREQS, *GEOMETRY, out)
    back = np.zeros_like(coefs)
    cpu.scatter_weighted(values, amplitudes, rotations, FREQS, *GEOMETRY, back, 2)
    there = np.vdot(values.astype(np.complex128), out).real
    rounding = 1e-6 * np.linalg.norm(values) * np.linalg.norm(out)
    assert there == pytest.approx(np.vdot(coefs.astype(np.float64), back), abs=float(rounding))


@pytest.mark.parametrize("channels", [1, 3, 9])
def test_normal_equations_are_the_sums_written_out(channels):
    terms = channels * (channels + 1) // 2
    weights, moments = np.abs(normal(IMAGES, LATTICE.size)), normal(IMAGES, terms)
    targets, amplitudes, rotations = complex_normal(IMAGES, LATTICE.size), normal(IMAGES, channels), turned(scaled=True)
    lhs = np.zeros((SPHERE.n_voxels, terms), dtype=np.float32)
    rhs = np.zeros((SPHERE.n_voxels, 2, channels), dtype=np.float32)
    cpu.scatter_equations(weights, moments, targets, amplitudes, rotations, FREQS, *GEOMETRY, lhs, rhs, 2)
    assert_close(lhs, spread(weights[:, :, None] * moments[:, None].astype(np.complex128), rotations).real)
    wanted = spread(targets[:, :, None] * amplitudes[:, None].astype(np.complex128), rotations)
    assert_close(rhs[:, 0] + 1j * rhs[:, 1], wanted)
    alone = np.zeros_like(lhs), np.zeros_like(rhs)
    cpu.scatter_moments(weights, moments, rotations, FREQS, *GEOMETRY, alone[0], 2)
    cpu.scatter_weighted(targets, amplitudes, rotations, FREQS, *GEOMETRY, alone[1], 2)
    np.testing.assert_array_equal(alone[0], lhs)
    np.testing.assert_array_equal(alone[1], rhs)


@pytest.mark.parametrize("channels", [1, 4, 17])
def test_compressed_images_give_the_likelihood_of_any_amplitudes(channels):
    coefs, rotations = normal(SPHERE.n_voxels, 2, channels), turned(scaled=True)
    targets, weights = complex_normal(IMAGES, LATTICE.size), np.abs(normal(IMAGES, LATTICE.size))
    gram, inner = np.empty((IMAGES, channels, channels)), np.empty((IMAGES, channels))
    cpu.compress_images(coefs, targets, weights, rotations, FREQS, *GEOMETRY, gram, inner)
    u = slices_of(coefs, rotations)
    assert_close(gram, np.einsum("bfc,bf,bfd->bcd", u.conj(), weights, u).real)
    assert_close(inner, np.einsum("bfc,bf->bc", u.conj(), targets).real)
    np.testing.assert_array_equal(gram, np.swapaxes(gram, 1, 2))


def test_voxel_systems_are_solved_as_numpy_solves_them():
    channels, count = 5, 40
    root = RNG.standard_normal((count, channels, channels))
    matrices = root @ np.swapaxes(root, 1, 2)
    i, j = np.tril_indices(channels)
    rhs = normal(count, 2, channels)
    precision = RNG.uniform(0.5, 2, (3, channels)).astype(np.float32)
    shells = RNG.integers(0, 3, count).astype(np.int32)
    solution, variance = np.empty_like(rhs), np.empty((count, channels), dtype=np.float32)
    cpu.solve_voxels(matrices[:, i, j].astype(np.float32), rhs, precision, shells, solution, variance)
    full = matrices + precision[shells][:, :, None] * np.eye(channels)
    np.testing.assert_allclose(solution, np.linalg.solve(full[:, None], rhs[..., None])[..., 0], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(variance, np.linalg.inv(full).diagonal(axis1=1, axis2=2), rtol=1e-4)


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
    before = numba.get_num_threads()
    numba.set_num_threads(min(threads, before))
    try:
        geometry = (rotations, FREQS, *GEOMETRY)
        cpu.project_weighted(coefs, amplitudes, *geometry, out)
        cpu.scatter_equations(weights, moments, values, amplitudes, *geometry, lhs, rhs, threads)
        cpu.compress_images(coefs, values, weights, *geometry, gram, inner)
        cpu.amplitude_gradients(values, coefs, *geometry, by_s)
        cpu.rotation_gradients(values, coefs, amplitudes, *geometry, by_r)
    finally:
        numba.set_num_threads(before)
    return [out, lhs, rhs, gram, inner, by_s, by_r]


@pytest.mark.parametrize("threads", [2, 3, 40])
def test_results_do_not_depend_on_the_number_of_threads(threads):
    for one, many in zip(everything(1), everything(threads), strict=True):
        np.testing.assert_array_equal(one, many)


def test_images_may_come_in_several_blocks(monkeypatch):
    whole = everything(2)
    monkeypatch.setattr(scatter, "BLOCK_POINTS", 2 * LATTICE.size)
    for one, many in zip(whole, everything(2), strict=True):
        np.testing.assert_allclose(one, many, rtol=1e-4, atol=1e-4)


def test_no_images_leave_the_sums_as_they_are():
    lhs, rhs = normal(SPHERE.n_voxels, 6), normal(SPHERE.n_voxels, 2, 3)
    before = lhs.copy(), rhs.copy()
    none, geometry = np.empty((0, LATTICE.size), np.complex64), (np.empty((0, 3, 3), np.float32), FREQS, *GEOMETRY)
    few = (none.real.copy(), np.empty((0, 6), np.float32), none, np.empty((0, 3), np.float32))
    cpu.scatter_equations(*few, *geometry, lhs, rhs, 2)
    np.testing.assert_array_equal(lhs, before[0])
    np.testing.assert_array_equal(rhs, before[1])


def test_a_nan_stays_visible_in_the_image_that_has_it_and_out_of_the_others():
    coefs, amplitudes, rotations = normal(SPHERE.n_voxels, 2, 3), normal(IMAGES, 3), turned()
    targets, weights = complex_normal(IMAGES, LATTICE.size), np.ones((IMAGES, LATTICE.size), np.float32)
    targets[2, 5], amplitudes[3, 1] = np.nan, np.nan
    gram, inner, out = np.empty((IMAGES, 3, 3)), np.empty((IMAGES, 3)), np.empty_like(targets)
    cpu.compress_images(coefs, targets, weights, rotations, FREQS, *GEOMETRY, gram, inner)
    cpu.project_weighted(coefs, amplitudes, rotations, FREQS, *GEOMETRY, out)
    assert np.isnan(inner).any(axis=1).tolist() == [False, False, True, False, False, False]
    assert np.isnan(out).all(axis=1).tolist() == [False, False, False, True, False, False]
    rhs = np.zeros_like(coefs)
    cpu.scatter_weighted(targets, normal(IMAGES, 3), rotations, FREQS, *GEOMETRY, rhs, 1)
    assert np.isnan(rhs).any()
