"""How a likelihood changes near a pose: the kernel against automatic derivatives, and against a decoder's slices."""

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.config import DecoderConfig, RunConfig
from cryodrgn_plugin.engine.decoders.decoder_registry import make_decoder
from cryodrgn_plugin.engine.geometry.rotations import random_matrices
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.likelihood.expansion import DecoderExpansion, LinearExpansion, LocalImages
from cryodrgn_plugin.engine.likelihood.linear_model import LinearModel
from cryodrgn_plugin.engine.slicing import reference
from cryodrgn_plugin.engine.slicing.sphere import HalfSphere

BOX, RADIUS, PIXEL_ANG = 12, 5, 3.0
LATTICE = HalfPlane(BOX, RADIUS)
SPHERE = HalfSphere(BOX, 1.5, RADIUS)
RATIO = np.array([1.0, 0.9, 1.0])
"""The second image is of an optics group of its own extent."""
B = len(RATIO)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def images(rng):
    targets = rng.standard_normal((B, LATTICE.size)) + 1j * rng.standard_normal((B, LATTICE.size))
    weights = rng.uniform(0.2, 1.0, (B, LATTICE.size)).astype(np.float32)
    moved_by = rng.uniform(-3, 3, (B, 2))
    return LocalImages(
        targets=targets.astype(np.complex64), weights=weights, moved_by_ang=moved_by, lattice=LATTICE,
        extent_ang=BOX * PIXEL_ANG, ratio=RATIO,
    )  # fmt: skip


def smooth_volumes(rng, count: int) -> np.ndarray:
    """Blobs near the centre, so that their transform is smooth on the grid."""
    axis = np.arange(BOX) - BOX // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    volumes = np.zeros((count, BOX, BOX, BOX))
    for volume in volumes:
        for cx, cy, cz in rng.uniform(-2, 2, (5, 3)):
            volume += rng.uniform(0.5, 1.5) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2) / 4)
    return volumes.astype(np.float32)


def observed(model: LinearModel, amplitudes, rotations, moved_ang, parameters: torch.Tensor) -> torch.Tensor:
    """(B, F) what the model says of the moved-back images, turned and moved by (B, 5) parameters, in float64."""
    o = torch.zeros(len(parameters), dtype=torch.float64)
    x, y, z = parameters[:, :3].T
    spin = torch.stack([torch.stack(row, -1) for row in ((o, -z, y), (z, o, -x), (-y, x, o))], 1)
    turned = torch.linalg.matrix_exp(spin) @ torch.from_numpy(rotations * RATIO[:, None, None])
    freqs = torch.from_numpy(LATTICE.indices.astype(np.float64))
    coefs = torch.from_numpy(model.coefs.astype(np.float64))
    slices = reference.slice_weighted(coefs, torch.from_numpy(amplitudes), turned, SPHERE, freqs)
    moved = torch.from_numpy(moved_ang) + parameters[:, 3:] * torch.from_numpy(RATIO)[:, None]
    return slices * torch.exp(-2j * np.pi * (moved @ freqs.T / (BOX * PIXEL_ANG)))


def log_likelihood(model, images, amplitudes, rotations, moved_ang, parameters):
    seen = observed(model, amplitudes, rotations, moved_ang, parameters)
    targets, weights = torch.from_numpy(images.targets).to(seen.dtype), torch.from_numpy(images.weights).double()
    return ((seen.conj() * targets).real - weights * seen.abs() ** 2 / 2).sum(1)


def test_the_kernel_gives_value_gradient_and_curvature_of_the_likelihood(images, rng):
    model = LinearModel(SPHERE, SPHERE.symmetrize(rng.standard_normal((SPHERE.n_voxels, 2, 3)).astype(np.float32)))
    amplitudes = rng.standard_normal((B, 3))
    # Rotations are float32 in the kernel: both must look at the same voxels.
    rotations = random_matrices(B, rng).astype(np.float32).astype(np.float64)
    shifts = rng.uniform(-2, 2, (B, 2))
    found = LinearExpansion(model, images, amplitudes).expand(rotations, shifts, RADIUS)

    moved = shifts * RATIO[:, None] - images.moved_by_ang
    zero = torch.zeros(B, 5, dtype=torch.float64, requires_grad=True)
    value = log_likelihood(model, images, amplitudes, rotations, moved, zero)
    np.testing.assert_allclose(found.value, value.detach(), rtol=1e-4)
    (gradient,) = torch.autograd.grad(value.sum(), zero)
    np.testing.assert_allclose(found.gradient, gradient, atol=1e-4 * gradient.abs().max())

    seen = lambda p: torch.view_as_real(observed(model, amplitudes, rotations, moved, p))  # noqa: E731
    whole = torch.autograd.functional.jacobian(seen, torch.zeros(B, 5, dtype=torch.float64))
    for b in range(B):
        jacobian = whole[b, :, :, b].numpy()
        wanted = np.einsum("fpi,f,fpj->ij", jacobian, images.weights[b].astype(float), jacobian)
        np.testing.assert_allclose(found.curvature[b], wanted, atol=1e-4 * np.abs(wanted).max())


def test_the_slow_way_through_a_decoders_slices_agrees_with_the_kernel(images, rng):
    config = RunConfig(z_dim=2, decoder=DecoderConfig(n_bases=2))
    decoder = make_decoder(config, BOX)
    decoder.set_volumes(smooth_volumes(rng, 3))
    z = torch.from_numpy(rng.standard_normal((B, 2)).astype(np.float32))
    model = LinearModel(decoder.sphere, decoder.coefs.detach().numpy())
    fast = LinearExpansion(model, images, decoder.amplitudes(z).detach().numpy())
    rotations, shifts = random_matrices(B, rng), rng.uniform(-2, 2, (B, 2))
    quick, slow = (each.expand(rotations, shifts, RADIUS) for each in (fast, DecoderExpansion(decoder, images, z)))
    np.testing.assert_allclose(slow.value, quick.value, rtol=1e-4)
    # The derivative of trilinear interpolation jumps from voxel to voxel; the difference over 2 · 0.02 rad averages it.
    np.testing.assert_allclose(slow.gradient, quick.gradient, atol=0.1 * np.abs(quick.gradient).max())
    np.testing.assert_allclose(slow.curvature, quick.curvature, atol=0.15 * np.abs(quick.curvature).max())


def test_a_frequency_limit_leaves_out_what_lies_beyond(images, rng):
    model = LinearModel(SPHERE, SPHERE.from_volumes(smooth_volumes(rng, 1)))
    spoilt = images.targets.copy()
    spoilt[:, LATTICE.count(3) :] = 1e6
    rotations, shifts, ones = random_matrices(B, rng), np.zeros((B, 2)), np.ones((B, 1))
    whole = LinearExpansion(model, images, ones).expand(rotations, shifts, 3)
    changed = LinearExpansion(model, LocalImages(**{**vars(images), "targets": spoilt}), ones).expand(
        rotations, shifts, 3
    )
    np.testing.assert_array_equal(whole.gradient, changed.gradient)
