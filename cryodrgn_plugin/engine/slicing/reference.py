"""Slices in plain torch: slow, obvious, differentiable in everything. The kernels are tested against this file."""

import torch
from torch import Tensor

from .sphere import HalfSphere


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
    q = torch.einsum("fi,bij->bfj", freqs.to(rotations.dtype), rotations[:, :2]) * sphere.step
    inside = (q**2).sum(-1) <= (sphere.radius * sphere.step) ** 2 * (1 + 1e-5)
    flip = q[..., 0] < 0
    q = torch.where(flip[..., None], -q, q) * inside[..., None]
    base = torch.floor(q.detach()).long()
    fraction = q - base
    start = torch.as_tensor(sphere.row_start, dtype=torch.long, device=coefs.device)
    h = sphere.half_width
    total = 0
    for dz in (0, 1):
        for dy in (0, 1):
            row = start[base[..., 2] + dz + h, base[..., 1] + dy + h]
            for dx in (0, 1):
                weight = (
                    (fraction[..., 0] if dx else 1 - fraction[..., 0])
                    * (fraction[..., 1] if dy else 1 - fraction[..., 1])
                    * (fraction[..., 2] if dz else 1 - fraction[..., 2])
                )
                total = total + weight[..., None, None] * coefs[row + base[..., 0] + dx]
    total = total * inside[..., None, None]
    imaginary = torch.where(flip[..., None], -total[..., 1, :], total[..., 1, :])
    return torch.complex(total[..., 0, :], imaginary)


def slice_weighted(coefs: Tensor, amplitudes: Tensor, rotations: Tensor, sphere: HalfSphere, freqs: Tensor) -> Tensor:
    """Slices of Σ_c amplitudes[b, c] V_c, (B, F) complex."""
    channels = slice_channels(coefs, rotations, sphere, freqs)
    return (channels * amplitudes[:, None, :]).sum(-1)
