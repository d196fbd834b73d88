"""Every operation of a backend on noise, ready to be called: what tests of speed and benchmarks measure."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cryodrgn_plugin.engine.geometry.rotations import random_matrices
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.slicing.backend import N_ERRORS, N_MOMENTS, Backend
from cryodrgn_plugin.engine.slicing.compute import Compute
from cryodrgn_plugin.engine.slicing.sphere import HalfSphere

Operation = Callable[[], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Problem:
    """Sizes of what is measured."""

    box: int
    radius: int
    """Frequency limit in 1/box."""
    channels: int
    images: int
    padding: float = 1.5
    candidates: int = 4
    """Poses per image in `match`."""
    shifts: int = 9
    """Shifts per pose in `match`."""

    @property
    def sphere(self) -> HalfSphere:
        return HalfSphere(self.box, self.padding, float(self.radius))

    @property
    def lattice(self) -> HalfPlane:
        return HalfPlane(self.box, self.radius)


def random_turns(n: int) -> Tensor:
    """(n, 3, 3) float32 rotations."""
    return torch.from_numpy(random_matrices(n, np.random.default_rng(1)).astype(np.float32))


def operations_on(compute: Compute, problem: Problem) -> dict[str, Operation]:
    """Name → what the operation gives, on the same noise for every member. Sums start at zero in every call."""
    backend, p, m = compute.backend(problem.sphere, problem.lattice), problem, problem.sphere.n_voxels
    rng, count, c = np.random.default_rng(0), problem.lattice.size, problem.channels
    terms = c * (c + 1) // 2

    def noise(*shape: int) -> Tensor:
        return compute.tensor(rng.standard_normal(shape, dtype=np.float32))

    def rotations(*shape: int) -> Tensor:
        return compute.tensor(random_matrices(int(np.prod(shape)), rng).reshape(*shape, 3, 3).astype(np.float32))

    near = noise(m, 2, c + N_MOMENTS)
    coefs, moving = near[..., :c].contiguous(), near[..., : 1 + N_MOMENTS].contiguous()
    targets, weights = torch.view_as_complex(noise(p.images, count, 2)), noise(p.images, count).abs()
    turned, amplitudes, slopes = rotations(p.images), noise(p.images, c), noise(p.images, count)
    moments, corrections = noise(p.images, terms), noise(p.images, N_ERRORS, c)
    many, centres, pattern = rotations(p.images, p.candidates), noise(p.images, p.candidates, 2), noise(p.shifts, 2)
    root = noise(m, c, c + 2) / 4
    i, j = torch.tril_indices(c, c, device=compute.device)
    equations = (root @ root.mT)[:, i, j].contiguous(), noise(m, 2, c), noise(problem.sphere.n_shells, c).abs() + 1
    sets, shifts = torch.zeros(p.images, dtype=torch.int64, device=compute.device), noise(p.images, 2)
    of_match = backend.match(coefs, targets, weights, many, centres / 50, pattern / 50)
    gram, inner = (each.flatten(0, 1) for each in of_match)
    sphere_sums = torch.zeros(m, 3, device=compute.device)
    sums = backend.nothing(c)
    return {
        "project": lambda: (backend.project(coefs, turned, count),),
        "mix": lambda: _with_gradients(backend, coefs, amplitudes, turned, targets),
        "compress": lambda: backend.compress(coefs, targets, weights, turned),
        "compress_near": lambda: backend.compress_near(near, targets, weights, turned, slopes),
        "match": lambda: backend.match(coefs, targets, weights, many, centres / 50, pattern / 50),
        "evidence": lambda: (backend.evidence(gram, inner),),
        "expand": lambda: backend.expand(coefs, sets, amplitudes, targets, weights, turned, shifts / 50),
        "accumulate": lambda: _added(backend.accumulate, sums, weights, moments, targets, amplitudes, turned),
        "accumulate_near": lambda: _added(
            backend.accumulate_near, sums[1:], moving, weights, corrections, turned, slopes
        ),
        "backproject": lambda: _added(backend.backproject, (sphere_sums,), targets, weights, weights[:, 0], turned),
        "solve": lambda: backend.solve(*equations),
    }


def _with_gradients(backend: Backend, coefs: Tensor, amplitudes: Tensor, rotations: Tensor, grad: Tensor):
    """Mixed slices, and what flows back to coefficients, amplitudes and rotations."""
    leaves = [each.detach().requires_grad_() for each in (coefs, amplitudes, rotations)]
    slices = backend.mix(*leaves, grad.shape[1])
    return slices.detach(), *torch.autograd.grad(slices, leaves, grad)


def _added(operation: Callable[..., None], sums: tuple[Tensor, ...], *arguments: Tensor) -> tuple[Tensor, ...]:
    for each in sums:
        each.zero_()
    operation(*sums, *arguments)
    return sums
