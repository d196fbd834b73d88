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
from cryodrgn_plugin.engine.poses.refine import Expansion
from cryodrgn_plugin.engine.slicing.compute import Compute
from cryodrgn_plugin.engine.slicing.sphere import HalfSphere
from cryodrgn_plugin.engine.slicing.torch_slices import slice_weighted

BOX, RADIUS, PIXEL_ANG = 12, 5, 3.0
LATTICE = HalfPlane(BOX, RADIUS)
SPHERE = HalfSphere(BOX, 1.5, RADIUS)
BACKEND = Compute().backend(SPHERE, LATTICE)
RATIO = torch.tensor([1.0, 0.9, 1.0], dtype=torch.float64)
"""The second image is of an optics group of its own extent."""
B = len(RATIO)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def images(rng):
    targets = rng.standard_normal((B, LATTICE.size)) + 1j * rng.standard_normal((B, LATTICE.size))
    weights = BACKEND.compute.tensor(rng.uniform(0.2, 1.0, (B, LATTICE.size)))
    moved_by = torch.from_numpy(rng.uniform(-3, 3, (B, 2)))
    return LocalImages(
        targets=BACKEND.compute.tensor(targets), weights=weights, moved_by_ang=moved_by, lattice=LATTICE,
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
    turned = torch.linalg.matrix_exp(spin) @ (rotations * RATIO[:, None, None])
    freqs = torch.from_numpy(LATTICE.indices.astype(np.float64))
    slices = slice_weighted(model.coefs.double(), amplitudes, turned, SPHERE, freqs)
    moved = moved_ang + parameters[:, 3:] * RATIO[:, None]
    return slices * torch.exp(-2j * np.pi * (moved @ freqs.T / (BOX * PIXEL_ANG)))


def log_likelihood(model, images, amplitudes, rotations, moved_ang, parameters):
    seen = observed(model, amplitudes, rotations, moved_ang, parameters)
    targets, weights = images.targets.to(seen.dtype), images.weights.double()
    return ((seen.conj() * targets).real - weights * seen.abs() ** 2 / 2).sum(1)


def test_the_kernel_gives_value_gradient_and_curvature_of_the_likelihood(images, rng):
    coefs = SPHERE.symmetrize(rng.standard_normal((SPHERE.n_voxels, 2, 3)).astype(np.float32))
    model = LinearModel(BACKEND, torch.from_numpy(coefs))
    amplitudes = torch.from_numpy(rng.standard_normal((B, 3)))
    # Rotations are float32 in the kernel: both must look at the same voxels.
    rotations = torch.from_numpy(random_matrices(B, rng)).float().double()
    shifts = torch.from_numpy(rng.uniform(-2, 2, (B, 2)))
    near = LinearExpansion(model, images, amplitudes).expand(rotations, shifts, RADIUS)

    moved = shifts * RATIO[:, None] - images.moved_by_ang
    zero = torch.zeros(B, 5, dtype=torch.float64, requires_grad=True)
    value = log_likelihood(model, images, amplitudes, rotations, moved, zero)
    np.testing.assert_allclose(near.value, value.detach(), rtol=1e-4)
    (gradient,) = torch.autograd.grad(value.sum(), zero)
    np.testing.assert_allclose(near.gradient, gradient, atol=1e-4 * gradient.abs().max())

    seen = lambda p: torch.view_as_real(observed(model, amplitudes, rotations, moved, p))  # noqa: E731
    whole = torch.autograd.functional.jacobian(seen, torch.zeros(B, 5, dtype=torch.float64))
    for b in range(B):
        jacobian = whole[b, :, :, b].numpy()
        wanted = np.einsum("fpi,f,fpj->ij", jacobian, images.weights[b].double().numpy(), jacobian)
        np.testing.assert_allclose(near.curvature[b], wanted, atol=1e-4 * np.abs(wanted).max())


def test_the_slow_way_through_a_decoders_slices_agrees_with_the_kernel(images, rng):
    config = RunConfig(z_dim=2, decoder=DecoderConfig(n_bases=2))
    decoder = make_decoder(config, BOX)
    decoder.set_volumes(smooth_volumes(rng, 3))
    z = torch.from_numpy(rng.standard_normal((B, 2)).astype(np.float32))
    model = LinearModel(Compute().backend(decoder.sphere, LATTICE), decoder.coefs.detach())
    fast = LinearExpansion(model, images, decoder.amplitudes(z).detach())
    rotations, shifts = torch.from_numpy(random_matrices(B, rng)), torch.from_numpy(rng.uniform(-2, 2, (B, 2)))
    quick, slow = (way.expand(rotations, shifts, RADIUS) for way in (fast, DecoderExpansion(decoder, images, z)))
    np.testing.assert_allclose(slow.value, quick.value, rtol=1e-4)
    # The derivative of trilinear interpolation jumps from voxel to voxel; the difference over 2 · 0.02 rad averages it.
    np.testing.assert_allclose(slow.gradient, quick.gradient, atol=0.1 * quick.gradient.abs().max())
    np.testing.assert_allclose(slow.curvature, quick.curvature, atol=0.15 * quick.curvature.abs().max())


def test_a_frequency_limit_leaves_out_what_lies_beyond(images, rng):
    model = LinearModel.of(BACKEND, smooth_volumes(rng, 1))
    spoilt = images.targets.clone()
    spoilt[:, LATTICE.count(3) :] = 1e6
    rotations, shifts, ones = torch.from_numpy(random_matrices(B, rng)), RATIO.new_zeros(B, 2), torch.ones(B, 1)
    whole = LinearExpansion(model, images, ones).expand(rotations, shifts, 3)
    changed = LinearExpansion(model, LocalImages(**{**vars(images), "targets": spoilt}), ones).expand(
        rotations, shifts, 3
    )
    np.testing.assert_array_equal(whole.gradient, changed.gradient)


@pytest.mark.parametrize("way", ["kernel", "decoder"])
def test_what_changes_near_a_pose_is_the_same_in_any_batch_to_the_last_bit(rng, way):
    decoder, n = make_decoder(RunConfig(z_dim=2, decoder=DecoderConfig(n_bases=2)), BOX), 40
    decoder.set_volumes(smooth_volumes(rng, 3))
    z = torch.from_numpy(rng.standard_normal((n, 2)).astype(np.float32))
    targets = rng.standard_normal((n, LATTICE.size)) + 1j * rng.standard_normal((n, LATTICE.size))
    weights, moved_by = rng.uniform(0.2, 1.0, (n, LATTICE.size)), torch.from_numpy(rng.uniform(-3, 3, (n, 2)))
    targets, weights = map(BACKEND.compute.tensor, (targets, weights))
    rotations, shifts = torch.from_numpy(random_matrices(n, rng)), torch.from_numpy(rng.uniform(-2, 2, (n, 2)))
    model = LinearModel(Compute().backend(decoder.sphere, LATTICE), decoder.coefs.detach())

    def near(some: slice) -> Expansion:
        few = LocalImages(
            targets=targets[some], weights=weights[some], moved_by_ang=moved_by[some], lattice=LATTICE,
            extent_ang=BOX * PIXEL_ANG, ratio=torch.ones(n, dtype=torch.float64)[some],
        )  # fmt: skip
        if way == "kernel":
            expansion = LinearExpansion(model, few, decoder.amplitudes(z[some]).detach())
        else:
            expansion = DecoderExpansion(decoder, few, z[some])
        return expansion.expand(rotations[some], shifts[some], RADIUS)

    whole = near(slice(0, n))
    for some in (slice(0, 1), slice(1, 4), slice(4, 17), slice(17, n)):
        alone = near(some)
        for name in ("value", "gradient", "curvature"):
            np.testing.assert_array_equal(getattr(alone, name), getattr(whole, name)[some])
