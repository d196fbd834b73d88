"""The backend of an NVIDIA GPU in float32: Triton kernels for what closed forms and searches spend their time on.

Sums are in a fixed order, so that the same work gives the same bits on the same device. Transforms between real space
and the half-sphere, `solve` and `evidence` are those of the plain twin: they run on batched library routines, and
their bytes are few beside a pass over the images. Targets and weights may be stored in half precision, and volumes are
read in half where `Compute.half` says so; sums are in single precision all the same.

Without a GPU the kernels run in Triton's interpreter, for tests: TRITON_INTERPRET=1 before anything imports them.
"""

from dataclasses import replace

import torch
from torch import Tensor

from .backend import N_ERRORS, N_PARAMETERS
from .sphere import HalfSphere
from .sphere_block import SphereBlock
from .torch_backend import TorchBackend
from .torch_slices import summed_pairs
from .triton_kernels import image_sums, pose_match, slice_gather
from .triton_kernels.geometry import Geometry
from .triton_kernels.pose_slopes import weighted_slopes
from .triton_kernels.slice_spread import Share, spread


class TritonBackend(TorchBackend):
    """See `Backend`."""

    def project(self, coefs: Tensor, rotations: Tensor, count: int) -> Tensor:
        return slice_gather.project(coefs, rotations, self._geometry, count)

    def mix(self, coefs: Tensor, amplitudes: Tensor, rotations: Tensor, count: int) -> Tensor:
        return _Mixed.apply(coefs, amplitudes.float(), rotations.float(), self._geometry, count)

    def compress(self, coefs: Tensor, targets: Tensor, weights: Tensor, rotations: Tensor) -> tuple[Tensor, Tensor]:
        return image_sums.compress(coefs, targets, weights, rotations, None, self._geometry)

    def compress_near(
        self, coefs: Tensor, targets: Tensor, weights: Tensor, rotations: Tensor, slopes: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        n_errors = N_PARAMETERS if slopes is None else N_ERRORS
        return image_sums.compress(coefs, targets, weights, rotations, slopes, self._geometry, n_errors)

    def match(
        self, coefs: Tensor, targets: Tensor, weights: Tensor, rotations: Tensor, centres: Tensor, pattern: Tensor
    ) -> tuple[Tensor, Tensor]:
        return pose_match.match(coefs, targets, weights, rotations, centres, pattern, self._geometry)

    def expand(
        self,
        coefs: Tensor,
        sets: Tensor,
        amplitudes: Tensor,
        targets: Tensor,
        weights: Tensor,
        rotations: Tensor,
        shifts: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        begins = sets * self.sphere.n_voxels
        return image_sums.expand(coefs, begins, amplitudes, targets, weights, rotations, shifts, self._geometry)

    def accumulate(
        self,
        lhs: Tensor,
        rhs: Tensor,
        weights: Tensor,
        moments: Tensor,
        targets: Tensor,
        amplitudes: Tensor,
        rotations: Tensor,
    ) -> None:
        equations, right_sides = Share(weights, moments, lhs), Share(targets, amplitudes, rhs)
        spread(rotations, self._geometry, equations, right_sides)

    def moving_here(self, moving: Tensor) -> Tensor:
        return moving  # slices are read from the whole sphere

    def accumulate_near(
        self,
        rhs: Tensor,
        moving: Tensor,
        weights: Tensor,
        corrections: Tensor,
        rotations: Tensor,
        slopes: Tensor | None = None,
    ) -> None:
        # Each derivative is a slice like any other, with amplitudes of its own.
        n_errors = N_PARAMETERS if slopes is None else N_ERRORS
        block = self.sphere
        read_from = replace(self._geometry, sphere=block.whole) if isinstance(block, SphereBlock) else self._geometry
        jacobian = weighted_slopes(moving, weights, rotations, slopes, read_from)
        turned = rotations.repeat_interleave(n_errors, 0)
        taken = Share(jacobian.flatten(0, 1), -corrections.flatten(0, 1), rhs)
        spread(turned, self._geometry, paired=taken)

    def backproject(self, sums: Tensor, data: Tensor, power: Tensor, weights: Tensor, rotations: Tensor) -> None:
        both, amount, share = sums[:, :2].contiguous()[..., None], sums[:, 2:].contiguous(), weights[:, None]
        spread(rotations, self._geometry, Share(power, share, amount), Share(data, share, both))
        sums[:, :2], sums[:, 2:] = both[..., 0], amount

    @property
    def _geometry(self) -> Geometry:
        return Geometry(self.sphere, self.lattice, self.compute.device, self.compute.half)


class _Mixed(torch.autograd.Function):
    """Weighted slices and their derivatives, each in one pass over the voxels touched."""

    @staticmethod
    def forward(ctx, coefs, amplitudes, rotations, geometry, count):
        ctx.save_for_backward(coefs, amplitudes, rotations)
        ctx.geometry = geometry
        return torch.view_as_complex(slice_gather.mix(coefs, amplitudes, rotations, geometry, count))

    @staticmethod
    def backward(ctx, grad):
        coefs, amplitudes, rotations = ctx.saved_tensors
        geometry = ctx.geometry
        by_coefs = by_amplitudes = by_rotations = None
        if ctx.needs_input_grad[0]:
            sums = torch.zeros_like(coefs, memory_format=torch.contiguous_format)
            spread(rotations, geometry, paired=Share(grad, amplitudes, sums))
            by_coefs = _tied(sums, geometry.sphere)
        if ctx.needs_input_grad[1]:
            inner = image_sums.compress(coefs, grad, None, rotations, None, geometry)[1]
            by_amplitudes = inner.to(amplitudes.dtype)
        if ctx.needs_input_grad[2]:
            by_rotations = slice_gather.rotation_gradients(grad, coefs, amplitudes, rotations, geometry)
        return by_coefs, by_amplitudes, by_rotations, None, None


def _tied(sums: Tensor, sphere: HalfSphere) -> Tensor:
    """A gradient with both members of every pair on the plane kx = 0 added; the origin is its own partner."""
    whole = summed_pairs(sums, sphere)
    whole[sphere.origin] /= 2
    return whole
