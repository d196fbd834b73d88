"""Central slices in plain torch: slow, obvious, differentiable in everything, on any device and in any precision."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .device_tables import table
from .sphere import HalfSphere
from .sphere_block import SphereBlock


@dataclass(frozen=True)
class Corners:
    """The eight voxels around each point of a slice: x fastest, z slowest."""

    voxels: Tensor
    """(..., 8) int64. Rows of the storage."""
    fractions: Tensor
    """(..., 3). Where the point lies between them, along x, y and z."""
    flipped: Tensor
    """(...) bool. The point is in the half that is not stored: its value is the conjugate of what is found."""
    inside: Tensor
    """(...) bool. Within the sphere's radius, and of a block's cells; slices are zero elsewhere."""

    @classmethod
    def of(cls, rotations: Tensor, sphere: HalfSphere, freqs: Tensor) -> "Corners":
        """Around the points Aᵀ [kx, ky, 0] of slices at rotations A (B, 3, 3), at freqs (F, 2); (B, F)."""
        q = torch.einsum("fi,bij->bfj", freqs.to(rotations.dtype), rotations[:, :2]) * sphere.step
        inside = (q**2).sum(-1) <= (sphere.radius * sphere.step) ** 2 * (1 + 1e-5)
        flipped = q[..., 0] < 0
        q = torch.where(flipped[..., None], -q, q) * inside[..., None]
        base = torch.floor(q.detach()).long()
        start, h = table(sphere, "row_start", rotations.device), sphere.half_width
        voxels = [
            start[base[..., 2] + dz + h, base[..., 1] + dy + h] + base[..., 0] + dx
            for dz in (0, 1)
            for dy in (0, 1)
            for dx in (0, 1)
        ]
        corners = torch.stack(voxels, -1)
        if isinstance(sphere, SphereBlock):
            first, stop = table(sphere, "reached", rotations.device)[:, base[..., 2] + h, base[..., 1] + h]
            inside = inside & (base[..., 0] >= first) & (base[..., 0] < stop)
            corners = torch.where(inside[..., None], corners, 0)
        return cls(corners, q - base, flipped, inside)

    @property
    def weights(self) -> Tensor:
        """(..., 8). Trilinear weights, 0 outside the radius."""
        x, y, z = (torch.stack([1 - self.fractions[..., axis], self.fractions[..., axis]], -1) for axis in range(3))
        product = z[..., :, None, None] * y[..., None, :, None] * x[..., None, None, :]
        return product.flatten(-3) * self.inside[..., None]

    def slopes(self, values: Tensor) -> Tensor:
        """(..., 3). Derivatives of the interpolant of complex `values` (..., 8) by the point's place in grid steps."""
        fx, fy, fz = (self.fractions[..., axis] for axis in range(3))
        v = values.unflatten(-1, (2, 2, 2))
        along_x = v[..., 1] - v[..., 0]
        along_y = v[..., 1, :] - v[..., 0, :]
        along_z = v[..., 1, :, :] - v[..., 0, :, :]
        by_x = _blend(_blend(along_x, fy), fz)
        by_y = _blend(_blend(along_y, fx), fz)
        by_z = _blend(_blend(along_z, fx), fy)
        # Where the conjugate was taken the point was −q.
        slopes = torch.stack([by_x, by_y, by_z], -1)
        return torch.where(self.flipped[..., None], -slopes.conj(), slopes) * self.inside[..., None]


def _blend(pairs: Tensor, fraction: Tensor) -> Tensor:
    """Between the two entries of the last axis of (..., n, 2), or (..., 2), at `fraction` (...)."""
    fraction = fraction.reshape(*fraction.shape, *[1] * (pairs.ndim - fraction.ndim - 1))
    return pairs[..., 0] * (1 - fraction) + pairs[..., 1] * fraction


def slice_channels(coefs: Tensor, rotations: Tensor, sphere: HalfSphere, freqs: Tensor) -> Tensor:
    """Trilinear central slices of every channel.

    Parameters
    ----------
    coefs : (M, 2, C) real. Half-sphere coefficients.
    rotations : (B, 3, 3). Volume to view; a slice is V(Aᵀ [kx, ky, 0]).
    freqs : (F, 2). Frequencies (kx, ky) in 1/(box · pixel).

    Returns
    -------
    (B, F, C) complex. Zero outside the sphere's radius.
    """
    corners = Corners.of(rotations, sphere, freqs)
    weights = corners.weights
    total = sum(weights[..., i, None, None] * coefs[corners.voxels[..., i]] for i in range(8))
    imaginary = torch.where(corners.flipped[..., None], -total[..., 1, :], total[..., 1, :])
    return torch.complex(total[..., 0, :], imaginary)


def slice_weighted(coefs: Tensor, amplitudes: Tensor, rotations: Tensor, sphere: HalfSphere, freqs: Tensor) -> Tensor:
    """Slices of Σ_c amplitudes[b, c] V_c, (B, F) complex."""
    channels = slice_channels(coefs, rotations, sphere, freqs)
    return (channels * amplitudes[:, None, :]).sum(-1)


class Hermitian(torch.autograd.Function):
    """Identity on coefficients (M, 2, C); its gradient is summed over the pairs of the plane kx = 0."""

    @staticmethod
    def forward(ctx, coefs, sphere):
        ctx.sphere = sphere
        return coefs.view_as(coefs)

    @staticmethod
    def backward(ctx, grad):
        summed = summed_pairs(grad, ctx.sphere)
        summed[ctx.sphere.origin] /= 2
        return summed, None


def summed_pairs(coefs: Tensor, sphere: HalfSphere) -> Tensor:
    """A copy of accumulated (M, 2, C) with both members of every pair on the plane kx = 0 added, Hermitian."""
    own, partner = (torch.as_tensor(index, device=coefs.device) for index in sphere.plane)
    mine, theirs = coefs[own], coefs[partner]
    summed = coefs.clone()
    summed[own] = torch.stack([mine[:, 0] + theirs[:, 0], mine[:, 1] - theirs[:, 1]], dim=1)
    return summed
