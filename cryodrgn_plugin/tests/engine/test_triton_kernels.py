"""The Triton kernels beyond the contract of backends: their sizes on a GPU, half precision, sums in one order, and that
they compile for a GPU that is not here.

Without a GPU they run in Triton's interpreter, with larger programs than a GPU's; one test takes those of a GPU.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.geometry.rotations import random_matrices
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.slicing.compute import Compute
from cryodrgn_plugin.engine.slicing.sphere import HalfSphere

ON_GPU = torch.cuda.is_available()
os.environ.setdefault("TRITON_INTERPRET", "0" if ON_GPU else "1")
DEVICE = torch.device("cuda" if ON_GPU else "cpu")
SPHERE, LATTICE = HalfSphere(16, 1.5, 7.0), HalfPlane(16, 7)
SMALL_SPHERE, SMALL_LATTICE = HalfSphere(8, 1.5, 3.0), HalfPlane(8, 3)
IMAGES, CHANNELS = 3, 5
LARGEST_STACK = 64
"""Bytes of a thread's registers that may have gone to memory."""
LARGEST_SHARED = 232448
"""Bytes of shared memory that a program of compute capability 9.0 may have."""

pytestmark = pytest.mark.triton


def members(sphere: HalfSphere, lattice: HalfPlane):
    """The Triton member and its plain twin."""
    return [Compute(DEVICE, torch.float32, name).backend(sphere, lattice) for name in ("triton", "torch")]


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE)


def images(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Targets, weights and rotations."""
    rotations = torch.as_tensor(random_matrices(IMAGES, np.random.default_rng(3)), dtype=torch.float32, device=DEVICE)
    return torch.view_as_complex(normal(IMAGES, count, 2, seed=1)), normal(IMAGES, count, seed=2).abs(), rotations


def difference(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Norm of the difference over the norm."""
    return float(torch.linalg.vector_norm(found - wanted) / torch.linalg.vector_norm(wanted))


def test_programs_of_a_gpu_s_size_do_as_the_twin_does(monkeypatch):
    """Several blocks of coefficients, and cubes of 4³ voxels."""
    from cryodrgn_plugin.engine.slicing.triton_kernels import image_sums, slice_gather
    from cryodrgn_plugin.engine.slicing.triton_kernels.slice_spread import Share, spread

    for module in (image_sums, slice_gather):
        monkeypatch.setattr(module, "POINTS", 8)
    triton, plain = members(SMALL_SPHERE, SMALL_LATTICE)
    count = SMALL_LATTICE.size
    assert count % 8 and count > 8
    coefs, (targets, weights, rotations) = normal(SMALL_SPHERE.n_voxels, 2, CHANNELS), images(count)
    assert difference(triton.project(coefs, rotations, count), plain.project(coefs, rotations, count)) < 1e-6
    for found, wanted in zip(
        *(each.compress(coefs, targets, weights, rotations) for each in (triton, plain)), strict=True
    ):
        assert difference(found, wanted) < 1e-6
    amplitudes = normal(IMAGES, CHANNELS)
    (lhs, found), (_, wanted) = triton.nothing(CHANNELS), plain.nothing(CHANNELS)
    plain.accumulate(lhs, wanted, weights, normal(IMAGES, lhs.shape[1]), targets, amplitudes, rotations)
    spread(rotations, triton._geometry, paired=Share(targets, amplitudes, found), side=4)
    assert difference(found, wanted) < 1e-6


def test_sums_come_in_one_order_whatever_was_added_before():
    """Run twice they are equal to the last bit; and images that miss a voxel leave it as it was."""
    triton, _ = members(SMALL_SPHERE, SMALL_LATTICE)
    targets, weights, rotations = images(SMALL_LATTICE.size)
    moments, amplitudes = normal(IMAGES, 3), normal(IMAGES, 2)
    sums = []
    for _ in range(2):
        lhs, rhs = triton.nothing(2)
        triton.accumulate(lhs, rhs, weights, moments, targets, amplitudes, rotations)
        sums.append((lhs, rhs))
    assert all(torch.equal(*pair) for pair in zip(*sums, strict=True))
    unseen = (sums[0][0] == 0).all(1)
    start = torch.full_like(sums[0][0], 0.3)
    triton.accumulate(start, triton.nothing(2)[1], weights, moments, targets, amplitudes, rotations)
    assert unseen.any() and (start[unseen] == 0.3).all()


def test_half_precision_is_read_and_sums_are_in_single():
    """Volumes that fall by 10⁶ from the origin, images whose targets and weights are stored in half precision too."""
    _, plain = members(SPHERE, LATTICE)
    half = Compute(DEVICE, torch.float32, "triton", half=True).backend(SPHERE, LATTICE)
    falling = torch.exp(-2.0 * torch.as_tensor(SPHERE.shells, device=DEVICE))[:, None, None]
    sizes = torch.tensor([1e4, 1e7, 1.0, 1e-3, 1e-6], device=DEVICE)
    coefs, (targets, weights, rotations) = sizes * falling * normal(SPHERE.n_voxels, 2, CHANNELS), images(LATTICE.size)
    halved = torch.view_as_complex(torch.view_as_real(targets).half()), weights.half()
    gram, inner = half.compress(coefs, *halved, rotations)
    wanted, wanted_inner = plain.compress(coefs, targets, weights, rotations)
    scale = wanted.diagonal(dim1=1, dim2=2).sqrt()
    assert gram.dtype == torch.float64
    assert ((gram - wanted).abs() < 1e-3 * scale[:, :, None] * scale[:, None]).all()
    assert difference(inner / sizes, wanted_inner / sizes) < 1e-3
    slices, exact = (each.project(coefs, rotations, LATTICE.size) for each in (half, plain))
    assert slices.dtype == torch.float32 and not torch.equal(slices, exact)
    # Each volume and each shell by itself, the faintest included.
    for shell in range(1, 7):
        of_shell = torch.as_tensor(LATTICE.shells == shell, device=DEVICE)
        for channel in range(CHANNELS):
            assert difference(slices[:, of_shell, :, channel], exact[:, of_shell, :, channel]) < 1e-3


def test_kernels_compile_for_a_gpu_that_is_not_here():
    """For compute capability 9.0, as the member launches them at 17 channels: their numbers are in registers, and the
    shared memory of a program fits."""
    script = Path(__file__).with_name("compiled_kernels.py")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    compiled = json.loads(result.stdout.splitlines()[-1])
    kernels = {each["kernel"] for each in compiled}
    assert kernels == {"_project", "_mix", "_rotation_gradients", "_compress", "_expand", "_match", "_spread"} | {
        "_weighted_slopes",
        "_fold",
    }
    for each in compiled:
        assert each["stack_bytes"] <= LARGEST_STACK and each["shared_bytes"] <= LARGEST_SHARED, each
    assert any(each["matrix_instructions"] for each in compiled if each["kernel"] == "_compress")
