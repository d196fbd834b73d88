"""Gradients of slices: the reference against finite differences in float64, the fused kernels against the reference."""

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.geometry.rotations import random_matrices
from cryodrgn_plugin.engine.imaging.formation import ImageFormation
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.slicing.compute import Compute
from cryodrgn_plugin.engine.slicing.sphere import HalfSphere
from cryodrgn_plugin.engine.slicing.torch_slices import slice_weighted

LATTICE = HalfPlane(8, 3)
SPHERE = HalfSphere(8, 1.5, 3.0)
FREQS = torch.from_numpy(LATTICE.indices.astype(np.float64))
NAMES = ["coefs", "amplitudes", "rotations"]


def inputs(channels: int = 3, images: int = 2) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(8)
    coefs = SPHERE.symmetrize(rng.standard_normal((SPHERE.n_voxels, 2, channels)))
    amplitudes = rng.standard_normal((images, channels))
    scaled = random_matrices(images, rng) * 0.97
    return dict(zip(NAMES, map(torch.from_numpy, (coefs, amplitudes, scaled)), strict=True))


@pytest.mark.parametrize("wrt", NAMES)
def test_the_references_gradients_are_finite_differences(wrt):
    tensors = inputs()
    tensors[wrt].requires_grad_()
    sliced = lambda *args: torch.view_as_real(slice_weighted(*args, SPHERE, FREQS))  # noqa: E731
    assert torch.autograd.gradcheck(sliced, tuple(tensors.values()), eps=1e-6, atol=1e-6, fast_mode=wrt == "coefs")


def loss(tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    target = torch.from_numpy(np.random.default_rng(9).standard_normal((2, LATTICE.size, 2)))
    backend = Compute.on("cpu", dtype=tensors["coefs"].dtype).backend(SPHERE, LATTICE)
    slices = backend.mix(*(tensors[name] for name in NAMES), LATTICE.size)
    return ((torch.view_as_real(slices).double() - target) ** 2).sum()


def gradients(dtype: torch.dtype) -> dict[str, torch.Tensor]:
    tensors = {name: tensor.to(dtype).requires_grad_() for name, tensor in inputs().items()}
    loss(tensors).backward()
    return {name: tensor.grad.double() for name, tensor in tensors.items()}


@pytest.mark.parametrize("wrt", NAMES)
def test_fused_gradients_are_the_references(wrt):
    fused, slow = gradients(torch.float32)[wrt], gradients(torch.float64)[wrt]
    assert (fused - slow).abs().max() < 1e-5 * slow.abs().max()


@pytest.mark.parametrize("part", [0, 1], ids=["real", "imaginary"])
def test_a_hermitian_pair_has_the_derivative_of_one_variable(part):
    own, partner = SPHERE.plane
    grad = gradients(torch.float64)["coefs"]
    for i in (0, len(own) // 2, len(own) // 3):
        sides = []
        for step in (1e-5, -1e-5):
            tensors = inputs()
            for at, sign in {int(own[i]): 1, int(partner[i]): 1 - 2 * part}.items():
                tensors["coefs"][at, part, 0] += sign * step
            sides.append(float(loss(tensors)))
        is_origin = own[i] == partner[i]
        wanted = 0.0 if is_origin and part else (sides[0] - sides[1]) / 2e-5
        assert float(grad[own[i], part, 0]) == pytest.approx(wanted, rel=1e-5, abs=1e-6)


def test_a_gradient_step_keeps_the_plane_hermitian():
    stepped = inputs()["coefs"].numpy() - 0.1 * gradients(torch.float32)["coefs"].numpy()
    np.testing.assert_allclose(SPHERE.symmetrize(stepped.copy()), stepped, atol=1e-6)


def test_only_wanted_gradients_are_made():
    tensors = {name: tensor.float() for name, tensor in inputs().items()}
    tensors["amplitudes"].requires_grad_()
    loss(tensors).backward()
    assert tensors["coefs"].grad is None and tensors["rotations"].grad is None


def test_a_pose_is_found_from_its_neighbourhood_by_gradient_descent():
    """Rotation and shift gradients through slice and image formation lead back to the pose that made the image."""
    box = 16
    lattice, sphere = HalfPlane(box, 4), HalfSphere(box, 2.0, 4.0)
    z, y, x = np.indices((box, box, box)) - box // 2
    centres = np.random.default_rng(1).uniform(-3, 3, (5, 3))
    volume = sum(np.exp(-((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / 5) for a, b, c in centres)
    backend, formation = Compute().backend(sphere, lattice), ImageFormation(lattice, 1.5)
    coefs = backend.coefficients(torch.from_numpy(volume[None].astype(np.float32)))
    true = torch.from_numpy(random_matrices(1, np.random.default_rng(3)).astype(np.float32))

    def image(turn, shift):
        rotations = torch.linalg.matrix_exp(torch.stack([torch.cross(e, turn, dim=0) for e in torch.eye(3)])) @ true
        slices = backend.mix(coefs, torch.ones(1, 1), rotations, lattice.size)
        return formation.observe(slices[:, None], torch.ones(1, lattice.size), shift[None, None])

    target = image(torch.zeros(3), torch.zeros(2))
    turn, shift = torch.tensor([0.08, -0.06, 0.1]).requires_grad_(), torch.tensor([1.2, -0.9]).requires_grad_()
    optimizer = torch.optim.LBFGS([turn, shift], max_iter=60, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        error = (image(turn, shift) - target).abs().square().mean() / target.abs().square().mean()
        error.backward()
        return error

    optimizer.step(closure)
    assert torch.rad2deg(turn.norm()) < 0.5
    assert shift.norm() < 0.02
