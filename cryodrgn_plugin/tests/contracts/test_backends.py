"""What every backend must do, on every device and in every precision it works in: sums written out, and adjoints.

The truth is numpy in double precision: loops where they are short, and the slices of `torch_slices`, which are judged
here by a loop themselves. A new member joins `COMPUTES`. Without a GPU the kernels of the triton member run in Triton's
interpreter.
"""

import os
from functools import partial

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.config.kinds import BACKENDS
from cryodrgn_plugin.engine.errors import ConfigError
from cryodrgn_plugin.engine.geometry.rotations import random_matrices
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.slicing.backend import Backend
from cryodrgn_plugin.engine.slicing.compute import Compute
from cryodrgn_plugin.engine.slicing.exact import exact_slices
from cryodrgn_plugin.engine.slicing.sphere import HalfSphere
from cryodrgn_plugin.engine.slicing.sphere_block import SphereBlock, run_from
from cryodrgn_plugin.engine.slicing.torch_slices import slice_channels

SPHERE, LATTICE = HalfSphere(16, 1.5, 7.0), HalfPlane(16, 7)
FREQS = LATTICE.indices.astype(np.float64)
IMAGES, CANDIDATES = 6, 3

ON_GPU = torch.cuda.is_available()
os.environ.setdefault("TRITON_INTERPRET", "0" if ON_GPU else "1")
TRITON = Compute(torch.device("cuda" if ON_GPU else "cpu"), torch.float32, "triton")

COMPUTES = [
    pytest.param(Compute.on("cpu", "numba"), id="numba"),
    pytest.param(Compute.on("cpu", "torch"), id="torch"),
    pytest.param(Compute.on("cpu", "torch", torch.float64), id="torch-double"),
    pytest.param(TRITON, id="triton", marks=pytest.mark.triton),
    pytest.param(Compute.on("cuda", "torch"), id="torch-cuda", marks=pytest.mark.gpu),
    pytest.param(Compute.on("cuda", "torch", torch.float64), id="torch-cuda-double", marks=pytest.mark.gpu),
]


@pytest.fixture(params=COMPUTES)
def compute(request) -> Compute:
    return request.param


@pytest.fixture
def backend(compute) -> Backend:
    return compute.backend(SPHERE, LATTICE)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def rotations_of(rng, *shape: int, scaled: bool = True) -> np.ndarray:
    """Random rotations; scaled ones are those of images with another pixel size, and reach beyond the limit. Rounded to
    single precision, so that every precision looks at the same voxels."""
    scale = np.linspace(0.8, 1.2, shape[0]).reshape(-1, *[1] * (len(shape) + 1)) if scaled else 1.0
    turned = random_matrices(int(np.prod(shape)), rng).reshape(*shape, 3, 3)
    return (turned * scale).astype(np.float32).astype(np.float64)


def complex_normal(rng, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def coefficients(rng, channels: int) -> np.ndarray:
    return SPHERE.symmetrize(rng.standard_normal((SPHERE.n_voxels, 2, channels)))


def true_slices(coefs: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """(B, F, C) complex128."""
    return slice_channels(*map(torch.from_numpy, (coefs, rotations)), SPHERE, torch.from_numpy(FREQS)).numpy()


def run(backend: Backend, operation: str, *arrays: np.ndarray, **options):
    """What an operation makes of arrays, as arrays in double precision."""
    found = getattr(backend, operation)(*map(backend.compute.tensor, arrays), **options)
    return tuple(double(each) for each in found) if isinstance(found, tuple) else double(found)


def double(tensor: torch.Tensor) -> np.ndarray:
    kind = torch.complex128 if tensor.is_complex() else torch.float64
    return tensor.detach().cpu().to(kind).numpy()


def assert_close(backend: Backend, found: np.ndarray, wanted: np.ndarray, single: float = 1e-5) -> None:
    """Equal to 10⁻⁵ of the largest value in single precision, and to 10⁻¹² in double."""
    limit = single if backend.compute.dtype == torch.float32 else 1e-12
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() < limit * np.abs(wanted).max()


def neighbours(rotation: np.ndarray):
    """For each coefficient inside the limit: its number, whether it is conjugated, and (voxel, weight) eight times."""
    h = SPHERE.half_width
    for f, k in enumerate(FREQS):
        q = (k @ rotation[:2]) * SPHERE.step
        if (q**2).sum() > (SPHERE.radius * SPHERE.step) ** 2 * (1 + 1e-5):
            continue
        flipped, q = q[0] < 0, -q if q[0] < 0 else q
        base = np.floor(q).astype(int)
        corners = []
        for offset in np.ndindex(2, 2, 2):
            x, y, z = base + offset
            weight = np.where(offset, q - base, 1 - (q - base)).prod()
            corners.append((SPHERE.row_start[z + h, y + h] + x, weight))
        yield f, flipped, corners


def spread(values: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """(M, K) by a loop: Σ over coefficients of trilinear weight · values (B, F, K), complex ones as they are stored."""
    total = np.zeros((SPHERE.n_voxels, values.shape[2]), dtype=np.complex128)
    for b, rotation in enumerate(rotations):
        for f, flipped, corners in neighbours(rotation):
            for voxel, weight in corners:
                total[voxel] += weight * (np.conj(values[b, f]) if flipped else values[b, f])
    return total


def test_the_reference_is_a_loop_over_neighbours(rng):
    coefs, rotations = coefficients(rng, 2), rotations_of(rng, 2)
    wanted = np.zeros((2, LATTICE.size, 2), np.complex128)
    for b, rotation in enumerate(rotations):
        for f, flipped, corners in neighbours(rotation):
            value = sum(weight * (coefs[voxel, 0] + 1j * coefs[voxel, 1]) for voxel, weight in corners)
            wanted[b, f] = np.conj(value) if flipped else value
    np.testing.assert_allclose(true_slices(coefs, rotations), wanted, atol=1e-12)


# --- slices -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 5, 17])
def test_slices_of_every_channel(backend, rng, channels):
    coefs, rotations = coefficients(rng, channels), rotations_of(rng, IMAGES)
    wanted = true_slices(coefs, rotations)
    found = run(backend, "project", coefs, rotations, count=LATTICE.size)
    assert_close(backend, found[:, :, 0] + 1j * found[:, :, 1], wanted)
    few = run(backend, "project", coefs, rotations, count=20)
    np.testing.assert_array_equal(few, found[:, :20])


@pytest.mark.parametrize("channels", [1, 5, 17])
def test_mixed_slices_are_weighted_sums(backend, rng, channels):
    coefs, amplitudes, rotations = (
        coefficients(rng, channels),
        rng.standard_normal((IMAGES, channels)),
        rotations_of(rng, IMAGES),
    )
    wanted = np.einsum("bfc,bc->bf", true_slices(coefs, rotations), amplitudes)
    assert_close(backend, run(backend, "mix", coefs, amplitudes, rotations, count=LATTICE.size), wanted)


def test_coefficients_beyond_the_limit_are_zero(backend, rng):
    coefs, rotations = coefficients(rng, 2), rotations_of(rng, IMAGES, scaled=False) * 1.3
    found = run(backend, "mix", coefs, rng.standard_normal((IMAGES, 2)), rotations, count=LATTICE.size)
    beyond = np.linalg.norm(FREQS, axis=1) * 1.3 > 7.0001
    assert beyond.any() and (found[:, beyond] == 0).all() and (found[:, ~beyond] != 0).all()


@pytest.mark.parametrize("wrt", [0, 1, 2], ids=["coefs", "amplitudes", "rotations"])
def test_gradients_of_mixed_slices_are_those_of_the_reference(backend, rng, wrt):
    """The reference's own are finite differences (tests/engine/test_slicing_gradients.py)."""
    arrays = coefficients(rng, 3), rng.standard_normal((IMAGES, 3)), rotations_of(rng, IMAGES)
    target = rng.standard_normal((IMAGES, LATTICE.size, 2))

    def gradient(of: Backend) -> np.ndarray:
        tensors = [of.compute.tensor(array).requires_grad_(place == wrt) for place, array in enumerate(arrays)]
        slices = torch.view_as_real(of.mix(*tensors, LATTICE.size))
        ((slices - of.compute.tensor(target)) ** 2).sum().backward()
        return double(tensors[wrt].grad)

    assert_close(
        backend, gradient(backend), gradient(Compute.on("cpu", "torch", torch.float64).backend(SPHERE, LATTICE))
    )


@pytest.mark.parametrize(("fill", "limits"), [(0.6, (0.10, 0.04, 0.025)), (0.9, (0.30, 0.11, 0.06))])
def test_slices_come_closer_to_the_fourier_sum_with_padding(compute, rng, fill, limits):
    """White noise in a ball of that share of the box against the sum without interpolation; the second is scaled."""
    z, y, x = np.indices((24, 24, 24)) - 12
    volume = rng.standard_normal((24, 24, 24)) * (x**2 + y**2 + z**2 <= (fill * 12) ** 2)
    lattice, rotations = HalfPlane(24, 11), random_matrices(2, rng) * np.array([1.0, 0.9])[:, None, None]
    exact = exact_slices(volume, rotations, lattice)
    for padding, limit in zip((1.0, 1.5, 2.0), limits, strict=True):
        backend = compute.backend(HalfSphere(24, padding, 11.0), lattice)
        coefs = backend.coefficients(compute.tensor(volume[None]))
        found = run(backend, "mix", coefs, np.ones((2, 1)), rotations, count=lattice.size)
        error = np.linalg.norm(found - exact) / np.linalg.norm(exact)
        assert limit / 3 < error < limit


# --- images against slices --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 4, 17])
def test_compressed_images_give_the_likelihood_of_any_amplitudes(backend, rng, channels):
    coefs, rotations = coefficients(rng, channels), rotations_of(rng, IMAGES)
    targets, weights = complex_normal(rng, IMAGES, LATTICE.size), rng.random((IMAGES, LATTICE.size))
    gram, inner = run(backend, "compress", coefs, targets, weights, rotations)
    u = true_slices(coefs, rotations)
    assert_close(backend, gram, np.einsum("bfc,bf,bfd->bcd", u.conj(), weights, u).real)
    assert_close(backend, inner, np.einsum("bfc,bf->bc", u.conj(), targets).real)
    np.testing.assert_array_equal(gram, np.swapaxes(gram, 1, 2))


@pytest.mark.parametrize("channels", [1, 3])
def test_matching_is_the_inner_product_at_every_pose_and_shift(backend, rng, channels):
    coefs, rotations = coefficients(rng, channels), rotations_of(rng, IMAGES, CANDIDATES)
    targets, weights = complex_normal(rng, IMAGES, LATTICE.size), rng.random((IMAGES, LATTICE.size))
    centres, pattern = rng.uniform(-0.1, 0.1, (IMAGES, CANDIDATES, 2)), rng.uniform(-0.05, 0.05, (4, 2))
    centres[:, 1] = centres[:, 0]
    gram, inner = run(backend, "match", coefs, targets, weights, rotations, centres, pattern)
    u = true_slices(coefs, rotations.reshape(-1, 3, 3)).reshape(IMAGES, CANDIDATES, LATTICE.size, channels)
    i, j = np.tril_indices(channels)
    assert_close(backend, gram, np.einsum("bpfc,bf,bpfd->bpcd", u.conj(), weights, u).real[..., i, j])
    waves = np.exp(2j * np.pi * (centres[:, :, None] + pattern) @ FREQS.T)
    assert_close(backend, inner, np.einsum("bpfc,bf,bptf->bpct", u.conj(), targets, waves).real, single=2e-5)


def test_evidence_is_the_gaussian_integral_over_amplitudes(backend, rng):
    n, channels, shifts = 8, 4, 5
    root = rng.standard_normal((n, channels, channels))
    gram, inner = root @ np.swapaxes(root, 1, 2), rng.standard_normal((n, channels, shifts))
    i, j = np.tril_indices(channels)
    found = run(backend, "evidence", gram[:, i, j], inner)
    precision = gram[:, 1:, 1:] + np.eye(channels - 1)
    left = inner[:, 1:] - gram[:, 1:, :1]
    quadratic = (left * np.linalg.solve(precision, left)).sum(1)
    constant = inner[:, 0] - gram[:, 0, :1] / 2 - np.linalg.slogdet(precision)[1][:, None] / 2
    assert_close(backend, found, constant + quadratic / 2)


def test_expansion_is_value_gradient_and_curvature_of_the_likelihood(backend, rng):
    """Against automatic derivatives, images compared with one of two sets of volumes each."""
    coefs, sets = np.concatenate([coefficients(rng, 3), coefficients(rng, 3)]), np.arange(IMAGES) % 2
    amplitudes, rotations = rng.standard_normal((IMAGES, 3)), rotations_of(rng, IMAGES)
    targets, weights = complex_normal(rng, IMAGES, LATTICE.size), rng.random((IMAGES, LATTICE.size))
    shifts = rng.uniform(-0.1, 0.1, (IMAGES, 2))
    value, gradient, curvature = run(backend, "expand", coefs, sets, amplitudes, targets, weights, rotations, shifts)

    for b, own in enumerate(sets):
        model = torch.from_numpy(np.split(coefs, 2)[own])
        image = partial(turned_image, model, amplitudes[b], rotations[b], shifts[b])
        still = torch.zeros(5, dtype=torch.float64)
        u = torch.view_as_complex(image(still)).numpy()
        jacobian = torch.autograd.functional.jacobian(image, still).numpy()
        residual = targets[b] - weights[b] * u
        parts = np.stack([residual.real, residual.imag], 1)
        wanted = (u.conj() * targets[b]).real.sum() - (weights[b] * np.abs(u) ** 2).sum() / 2
        assert_close(backend, value[b : b + 1], np.array([wanted]), single=1e-4)
        assert_close(backend, gradient[b], np.einsum("fpi,fp->i", jacobian, parts), single=1e-4)
        assert_close(backend, curvature[b], np.einsum("fpi,f,fpj->ij", jacobian, weights[b], jacobian), single=1e-4)


def turned_image(model: torch.Tensor, amplitudes, rotation, shift, moves: torch.Tensor) -> torch.Tensor:
    """(F, 2) what volumes mixed by (C,) amplitudes look like at a pose that is turned and shifted by `moves` (5,)."""
    x, y, z = moves[:3]
    o, freqs = torch.zeros_like(x), torch.from_numpy(FREQS)
    spin = torch.stack([torch.stack(row) for row in ((o, -z, y), (z, o, -x), (-y, x, o))])
    turned = torch.linalg.matrix_exp(spin) @ torch.from_numpy(rotation)
    slices = slice_channels(model, turned[None], SPHERE, freqs)[0] @ torch.from_numpy(amplitudes).to(torch.complex128)
    angle = -2 * np.pi * freqs @ (torch.from_numpy(shift) + moves[3:])
    return torch.view_as_real(slices * torch.polar(torch.ones_like(angle), angle))


# --- near the poses given ---------------------------------------------------------------------------------------------


def jacobian_of(first: np.ndarray, moments: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """(B, F, 5) derivatives of slices (B, F) by their poses, from slices of the volume's moments (B, F, 3), with
    k × ω written out."""
    k = np.pad(FREQS, ((0, 0), (0, 1)))
    places = np.stack([np.cross(k, axis) @ rotations for axis in np.eye(3)], 2)  # (B, F, 3 turns, 3)
    turned = np.einsum("bfid,bfd->bfi", places, moments)
    return -2j * np.pi * np.concatenate([turned, FREQS * first[..., None]], 2)


@pytest.mark.parametrize("channels", [1, 4, 17])
@pytest.mark.parametrize("errors", [5, 6])
def test_near_a_pose_derivatives_are_channels_as_others_are(backend, rng, channels, errors):
    """With slopes given the defocus is one of them."""
    coefs, rotations = coefficients(rng, channels + 3), rotations_of(rng, IMAGES)
    targets, weights = complex_normal(rng, IMAGES, LATTICE.size), rng.random((IMAGES, LATTICE.size))
    slopes = (rng.standard_normal((IMAGES, LATTICE.size)),) if errors == 6 else ()
    gram, inner = run(backend, "compress_near", coefs, targets, weights, rotations, *slopes)
    u = true_slices(coefs, rotations)
    changes = [jacobian_of(u[..., 0], u[..., channels:], rotations), *((s * u[..., 0])[..., None] for s in slopes)]
    u = np.concatenate([u[..., :channels], *changes], 2)
    alike = 1 / np.sqrt((np.abs(u) ** 2).mean((0, 1)))
    wanted = np.einsum("bfc,bf,bfd->bcd", u.conj(), weights, u).real
    assert_close(backend, gram * np.outer(alike, alike), wanted * np.outer(alike, alike))
    assert_close(backend, inner * alike, np.einsum("bfc,bf->bc", u.conj(), targets).real * alike)
    np.testing.assert_array_equal(gram, np.swapaxes(gram, 1, 2))
    for found, plain in zip((gram, inner), run(backend, "compress", coefs, targets, weights, rotations), strict=True):
        cut = (slice(None), *[slice(channels)] * (found.ndim - 1))
        assert_close(backend, found[cut], plain[cut])


@pytest.mark.parametrize("errors", [5, 6])
@pytest.mark.parametrize("apart", [1, 3, 21])
def test_volumes_that_are_looked_at_by_themselves_are_compared_as_all_are(backend, rng, apart, errors):
    coefs, rotations = coefficients(rng, 2 + apart + 3), rotations_of(rng, IMAGES)
    targets, weights = complex_normal(rng, IMAGES, LATTICE.size), rng.random((IMAGES, LATTICE.size))
    slopes = (rng.standard_normal((IMAGES, LATTICE.size)),) if errors == 6 else ()
    gram, inner = run(backend, "compress_near", coefs, targets, weights, rotations, *slopes)
    alone, others = np.arange(2, 2 + apart), np.r_[0, 1, np.arange(2 + apart, gram.shape[1])]
    wanted = gram[:, others[:, None], others], inner[:, others], gram[:, others[:, None], alone]
    wanted += gram[:, alone, alone], inner[:, alone]
    found = run(backend, "compress_apart", coefs, targets, weights, rotations, *slopes, n_apart=apart)
    for ours, theirs in zip(found, wanted, strict=True):
        assert_close(backend, ours / np.abs(theirs).max(), theirs / np.abs(theirs).max())


@pytest.mark.parametrize(("padding", "of_the_sum", "of_slices"), [(2.0, 0.02, 0.4), (4.0, 0.005, 0.13)])
def test_derivatives_are_those_of_the_fourier_sum_and_of_slices_at_turned_poses(
    compute, rng, padding, of_the_sum, of_slices
):
    """⟨u, t⟩ at poses a little to either side. Slices bend at every voxel, so that their own differences are a much
    coarser truth than those of the sum without interpolation; both come closer with padding."""
    volume, lattice, rotations = blobs(rng, 24), HalfPlane(24, 9), rotations_of(rng, IMAGES)
    targets = exact_slices(blobs(rng, 24), rotations, lattice)
    backend = compute.backend(HalfSphere(24, padding, 11.0), lattice)
    moving = double(backend.moving(backend.coefficients(compute.tensor(volume[None]))))
    images = targets, np.zeros_like(targets.real)
    inner = run(backend, "compress_near", moving, *images, rotations)[1][:, 1:]

    def differences(slices, turn: float, shift: float) -> np.ndarray:
        sides, steps = [], np.array([turn] * 3 + [shift] * 2)
        for move in [*np.diag(steps), *-np.diag(steps)]:
            turned = Rotation.from_rotvec(move[:3]).as_matrix() @ rotations
            wave = np.exp(-2j * np.pi * lattice.indices @ move[3:])
            sides.append(((slices(turned) * wave).conj() * targets).real.sum(1))
        return (np.array(sides[:5]) - sides[5:]).T / (2 * steps)

    def of_the_member(turned: np.ndarray) -> np.ndarray:
        return run(backend, "mix", moving[..., :1], np.ones((IMAGES, 1)), turned, count=lattice.size)

    exact = differences(lambda turned: exact_slices(volume, turned, lattice), 1e-4, 1e-4)
    size = np.sqrt((exact**2).mean(0))
    assert (np.abs(inner - exact) < of_the_sum * size).all()
    assert (np.abs(inner - differences(of_the_member, 0.04, 0.002)) < of_slices * size).all()


def blobs(rng, box: int) -> np.ndarray:
    """(D, D, D) ten Gaussians near the middle of the box."""
    z, y, x = np.indices((box, box, box)) - box // 2
    places = rng.uniform(-box / 8, box / 8, (10, 3))
    return sum(np.exp(-((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / 5) for a, b, c in places)


@pytest.mark.parametrize(("operation", "with_defocus"), [("compress", 0), ("compress_near", 0), ("compress_near", 1)])
def test_an_image_is_the_same_in_any_batch(backend, rng, operation, with_defocus):
    """To the last bit by the kernels, up to rounding by torch's sums."""
    coefs, rotations = coefficients(rng, 6), rotations_of(rng, IMAGES)
    images = complex_normal(rng, IMAGES, LATTICE.size), rng.random((IMAGES, LATTICE.size)), rotations
    images += (rng.standard_normal((IMAGES, LATTICE.size)),) * with_defocus
    together = run(backend, operation, coefs, *images)
    for some in (slice(0, 1), slice(1, 3), slice(3, IMAGES)):
        alone = run(backend, operation, coefs, *(values[some] for values in images))
        for whole, part in zip(together, alone, strict=True):
            if backend.compute.member == "numba":
                np.testing.assert_array_equal(part, whole[some])
            else:
                assert_close(backend, part, whole[some])


@pytest.mark.parametrize("channels", [1, 3, 9])
@pytest.mark.parametrize("errors", [5, 6])
def test_what_errors_of_poses_take_from_right_sides_is_the_sum_written_out(backend, rng, channels, errors):
    """With slopes given the defocus errs as well."""
    moving, rotations = coefficients(rng, 4), rotations_of(rng, IMAGES)
    weights, corrections = rng.random((IMAGES, LATTICE.size)), rng.standard_normal((IMAGES, errors, channels))
    slopes = (rng.standard_normal((IMAGES, LATTICE.size)),) if errors == 6 else ()
    before = rng.standard_normal((SPHERE.n_voxels, 2, channels))
    rhs = backend.compute.tensor(before).clone()
    for some in (slice(0, 2), slice(2, IMAGES)):
        part = (values[some] for values in (weights, corrections, rotations, *slopes))
        backend.accumulate_near(rhs, *map(backend.compute.tensor, (moving, *part)))
    u = true_slices(moving, rotations)
    changes = [jacobian_of(u[..., 0], u[..., 1:], rotations), *((s * u[..., 0])[..., None] for s in slopes)]
    jacobian = np.concatenate(changes, 2)
    wanted = spread(weights[..., None] * (jacobian @ corrections), rotations)
    taken = before - double(rhs)
    assert_close(backend, taken[:, 0] + 1j * taken[:, 1], wanted)


# --- solving ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3, 9])
def test_normal_equations_are_the_sums_written_out(backend, rng, channels):
    terms = channels * (channels + 1) // 2
    weights, moments = rng.random((IMAGES, LATTICE.size)), rng.standard_normal((IMAGES, terms))
    targets, amplitudes = complex_normal(rng, IMAGES, LATTICE.size), rng.standard_normal((IMAGES, channels))
    rotations = rotations_of(rng, IMAGES)
    lhs, rhs = backend.nothing(channels)
    backend.accumulate(lhs, rhs, *map(backend.compute.tensor, (weights, moments, targets, amplitudes, rotations)))
    assert_close(backend, double(lhs), spread(weights[:, :, None] * moments[:, None].astype(complex), rotations).real)
    wanted = spread(targets[:, :, None] * amplitudes[:, None], rotations)
    assert_close(backend, double(rhs[:, 0]) + 1j * double(rhs[:, 1]), wanted)
    whole = SPHERE.symmetrize_real(double(lhs).copy()), SPHERE.symmetrize(double(rhs).copy(), total=True)
    for found, expected in zip(backend.completed(lhs, rhs), whole, strict=True):
        assert_close(backend, double(found), expected)


def test_blocks_of_shells_have_the_sums_of_the_whole_sphere(backend, rng):
    """From the coefficients of their part of the plane alone, each voxel in one of them: of a shell each, or of half
    the sphere in the interpreter, which is slow."""
    most = 0.6 * SPHERE.n_voxels if backend.compute.member == "triton" else 0
    images = {name: rng.random((IMAGES, LATTICE.size)) for name in ("weights", "slopes")}
    images["targets"] = complex_normal(rng, IMAGES, LATTICE.size)
    rotations, moving = rotations_of(rng, IMAGES), rng.standard_normal((SPHERE.n_voxels, 2, 4))
    shapes = (IMAGES, 6), (IMAGES, 3), (IMAGES, 6, 3)
    moments, amplitudes, corrections = (rng.standard_normal(shape) for shape in shapes)

    def sums(part: Backend, some: slice) -> list[np.ndarray]:
        lhs, rhs = part.nothing(3)
        weights, slopes, targets = (part.compute.tensor(each[:, some]) for each in images.values())
        given = map(part.compute.tensor, (moments, amplitudes, corrections, rotations, moving))
        second, first, tied, turned, whole = given
        part.accumulate(lhs, rhs, weights, second, targets, first, turned)
        part.accumulate_near(rhs, part.moving_here(whole), weights, tied, turned, slopes)
        return [double(each) for each in part.completed(lhs, rhs)]

    wanted, seen, first = sums(backend, slice(None)), np.zeros(SPHERE.n_voxels, int), 0
    while first < SPHERE.n_shells:
        stop = run_from(SPHERE, first, most)
        block = SphereBlock.of(SPHERE, first, stop)
        ring = block.ring(LATTICE, 0.8, 1.2)
        found = sums(backend.compute.backend(block, ring), slice(ring.first, ring.stop))
        voxels = block.stored[block.own]
        for ours, theirs in zip(found, wanted, strict=True):
            limit = 1e-5 if backend.compute.dtype == torch.float32 else 1e-12
            assert np.abs(ours[block.own] - theirs[voxels]).max() < limit * np.abs(theirs).max()
        seen[voxels] += 1
        first = stop
    assert (seen == 1).all()


@pytest.mark.parametrize("channels", [1, 5, 17])
def test_accumulating_is_the_adjoint_of_slicing(backend, rng, channels):
    """⟨A x, y⟩ = ⟨x, Aᵀ y⟩."""
    coefs, amplitudes, rotations = (
        coefficients(rng, channels),
        rng.standard_normal((IMAGES, channels)),
        rotations_of(rng, IMAGES),
    )
    values = complex_normal(rng, IMAGES, LATTICE.size)
    there = run(backend, "mix", coefs, amplitudes, rotations, count=LATTICE.size)
    lhs, rhs = backend.nothing(channels)
    still = np.zeros((IMAGES, LATTICE.size)), np.zeros((IMAGES, lhs.shape[1]))
    backend.accumulate(lhs, rhs, *map(backend.compute.tensor, (*still, values, amplitudes, rotations)))
    rounding = 1e-6 if backend.compute.dtype == torch.float32 else 1e-14
    limit = rounding * np.linalg.norm(values) * np.linalg.norm(there)
    assert np.vdot(values, there).real == pytest.approx(np.vdot(coefs, double(rhs)), abs=float(limit))


def test_voxel_systems_are_solved_as_numpy_solves_them(backend, rng):
    channels, m = 5, SPHERE.n_voxels
    root = rng.standard_normal((m, channels, channels))
    matrices, rhs = root @ np.swapaxes(root, 1, 2), rng.standard_normal((m, 2, channels))
    i, j = np.tril_indices(channels)
    precision = rng.uniform(0.5, 2, (SPHERE.n_shells, channels))
    solution, variance = run(backend, "solve", matrices[:, i, j], rhs, precision)
    full = matrices + precision[SPHERE.shells][:, :, None] * np.eye(channels)
    rtol = 1e-3 if backend.compute.dtype == torch.float32 else 1e-9
    np.testing.assert_allclose(solution, np.linalg.solve(full[:, None], rhs[..., None])[..., 0], rtol=rtol, atol=1e-5)
    np.testing.assert_allclose(variance, np.linalg.inv(full).diagonal(axis1=1, axis2=2), rtol=rtol)
    alone, nothing = run(backend, "solve", matrices[:, i, j], rhs, precision, with_variance=False)
    assert (alone == solution).all() and nothing.shape == (0, channels)


def test_backprojection_is_the_sum_written_out(backend, rng):
    rotations, weights = rotations_of(rng, IMAGES), rng.random(IMAGES)
    data, power = complex_normal(rng, IMAGES, LATTICE.size), rng.random((IMAGES, LATTICE.size))
    sums = backend.compute.tensor(np.zeros((SPHERE.n_voxels, 3)))
    for some in (slice(0, 2), slice(2, IMAGES)):
        part = (values[some] for values in (data, power, weights, rotations))
        backend.backproject(sums, *map(backend.compute.tensor, part))
    wanted = spread(data[:, :, None] * weights[:, None, None], rotations)[:, 0]
    amount = spread(power[:, :, None] * weights[:, None, None].astype(complex), rotations).real[:, 0]
    assert_close(backend, double(sums), np.stack([wanted.real, wanted.imag, amount], 1))


# --- real space -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", [1.0, 1.5, 2.0])
def test_volumes_go_to_the_sphere_and_back_as_the_sphere_takes_them(compute, rng, padding):
    sphere = HalfSphere(16, padding, 7.0)
    backend, volumes = compute.backend(sphere, LATTICE), rng.standard_normal((2, 16, 16, 16))
    coefs = run(backend, "coefficients", volumes)
    # The sphere's own storage is in single precision.
    wanted = sphere.from_volumes(volumes).astype(np.float64)
    np.testing.assert_allclose(coefs, wanted, atol=1e-6 * np.abs(wanted).max())
    for convolve in (True, False):
        wanted = sphere.to_volumes(coefs, convolve).astype(np.float64)
        np.testing.assert_allclose(
            run(backend, "volumes", coefs, convolve=convolve), wanted, atol=2e-5 * np.abs(wanted).max()
        )


# --- edges ------------------------------------------------------------------------------------------------------------


def test_no_images_give_nothing_and_leave_sums_as_they_are(backend, rng):
    coefs, f = coefficients(rng, 3), LATTICE.size
    none, rotations = np.empty((0, f)), np.empty((0, 3, 3))
    lhs, rhs = (backend.compute.tensor(rng.standard_normal(shape)) for shape in ((SPHERE.n_voxels, 6), coefs.shape))
    before = lhs.clone(), rhs.clone()
    images = (none, np.empty((0, 6)), none + 0j, np.empty((0, 3)), rotations)
    backend.accumulate(lhs, rhs, *map(backend.compute.tensor, images))
    backend.accumulate_near(
        rhs, *map(backend.compute.tensor, (coefs[..., [0, 0, 1, 2]], none, np.empty((0, 5, 3)), rotations))
    )
    assert torch.equal(lhs, before[0]) and torch.equal(rhs, before[1])
    assert run(backend, "project", coefs, rotations, count=f).shape == (0, f, 2, 3)
    assert run(backend, "compress", coefs, none + 0j, none, rotations)[0].shape == (0, 3, 3)
    assert run(backend, "compress_near", coefs, none + 0j, none, rotations)[1].shape == (0, 5)


def test_a_nan_stays_visible_in_the_image_that_has_it_and_out_of_the_others(backend, rng):
    coefs, amplitudes, rotations = coefficients(rng, 3), rng.standard_normal((IMAGES, 3)), rotations_of(rng, IMAGES)
    targets, weights = complex_normal(rng, IMAGES, LATTICE.size), np.ones((IMAGES, LATTICE.size))
    targets[2, 5], amplitudes[3, 1] = np.nan, np.nan
    inner = run(backend, "compress", coefs, targets, weights, rotations)[1]
    mixed = run(backend, "mix", coefs, amplitudes, rotations, count=LATTICE.size)
    near = run(backend, "compress_near", np.concatenate([coefs, coefs], 2), targets, weights, rotations)[1]
    for each in (inner, near):
        assert np.isnan(each).all(axis=1).tolist() == [False, False, True, False, False, False]
        assert np.isnan(each).any(axis=1).tolist() == [False, False, True, False, False, False]
    assert np.isnan(mixed).any(axis=1).tolist() == [False, False, False, True, False, False]
    lhs, rhs = backend.nothing(3)
    images = weights, np.ones((IMAGES, 6)), targets, np.ones((IMAGES, 3)), rotations
    backend.accumulate(lhs, rhs, *map(backend.compute.tensor, images))
    assert torch.isnan(rhs).any()
    rhs, corrections = backend.nothing(3)[1], np.ones((IMAGES, 5, 3))
    corrections[3, 4, 2] = np.nan
    images = np.concatenate([coefs, coefs[..., :1]], 2), weights, corrections, rotations
    backend.accumulate_near(rhs, *map(backend.compute.tensor, images))
    assert torch.isnan(rhs).any((0, 1)).tolist() == [False, False, True]


def test_a_place_where_a_member_cannot_work_is_one_sentence():
    assert Compute.on("cpu").member == "numba"
    assert Compute.on("cpu", dtype=torch.float64).member == Compute.on("cuda", dtype=torch.float64).member == "torch"
    assert Compute.asked_for("auto", "auto") == Compute.asked_for("cpu", "numba") == Compute()
    assert Compute.asked_for("cpu", "torch").member == "torch"
    with pytest.raises(ConfigError, match="choose auto, cpu, or cuda"):
        Compute.asked_for("tpu", "auto")
    with pytest.raises(ConfigError, match="numba backend works in float32 on the CPU"):
        Compute.on("cuda", "numba")
    with pytest.raises(ConfigError, match=f"choose auto, {' or '.join(BACKENDS)}"):
        Compute.on("cpu", "abacus")


def test_triton_is_taken_on_a_gpu_where_it_can_work_and_says_in_a_sentence_why_it_cannot(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    there = {"triton": object()}
    monkeypatch.setattr("importlib.util.find_spec", there.get)
    monkeypatch.setattr("importlib.metadata.version", {"triton": "3.3.1"}.get)
    monkeypatch.setattr("shutil.which", {"cc": "/usr/bin/cc"}.get)
    assert Compute.on("cuda").member == "triton" and Compute.on("cpu").member == "numba"
    with pytest.raises(ConfigError, match="works in float32 on a GPU, not in float32 on cpu; choose auto or torch"):
        Compute.on("cpu", "triton")
    with pytest.raises(ConfigError, match="not in float64 on cuda; choose auto or torch"):
        Compute.on("cuda", "triton", torch.float64)
    monkeypatch.setattr("shutil.which", {}.get)
    with pytest.raises(ConfigError, match="needs a C compiler"):
        Compute.on("cuda", "triton")
    monkeypatch.setattr("importlib.metadata.version", {"triton": "3.2.0"}.get)
    with pytest.raises(ConfigError, match=r"needs triton 3\.3 or newer"):
        Compute.on("cuda", "triton")
    there.clear()
    assert Compute.on("cuda").member == "torch"
    with pytest.raises(ConfigError, match=r"package triton, which is not installed \(pip install triton\); choose"):
        Compute.on("cuda", "triton")
