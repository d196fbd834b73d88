"""Gaussian beads seen from anywhere: central slices of the transform of a sum of beads, and their map.

    V(k) = exp(−2π² σ² |k|²) Σ_j a_j exp(−2πi k·μ_j)

a_j is what a bead adds to the sum over all voxels, and σ its width. Eq. 7.2 of the thesis has exp(−π² σ² |k|² / 2), the
transform of a Gaussian half as wide as that of its eq. 7.1; σ here is the standard deviation in space, as in 7.1.

The sum is made in one of three ways. `exact_slices_of_beads` is the obvious one. `separable_sums` is as exact: waves
along x times waves along y, one product of two small matrices per image. `splatting` costs a window per bead and an
FFT; its error is 1e-5. All are differentiable in centres, amplitudes, width and rotations.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

from ..imaging.lattice import HalfPlane
from . import splatting

SPLAT_FROM = 128
"""Beads from which a grid is faster than a product of waves on one core. Forward and backward, in ms per image: 64
px, 120 beads 0.26 against 0.34, 3,000 beads 1.8 against 8.9; 128 px, 3,000 beads 2.3 against 17."""
CHUNK = 2**22
"""Complex numbers in hand when a map is summed."""


def exact_slices_of_beads(
    centres_ang: Tensor, amplitudes: Tensor, sigma_ang: Tensor, rotations: Tensor, freqs_per_ang: Tensor
) -> Tensor:
    """Slices by the sum over beads at each frequency, the slow twin of `slices_of_beads`.

    Parameters
    ----------
    freqs_per_ang : (F, 2). Frequencies (kx, ky) of the image.

    Returns
    -------
    (B, P, F) complex. B · P · F · n waves.
    """
    points = freqs_per_ang @ rotations[..., :2, :]
    phases = -2 * math.pi * points @ centres_ang[:, None].mT
    envelope = torch.exp(-2 * math.pi**2 * sigma_ang**2 * freqs_per_ang.square().sum(1))
    weights = amplitudes[:, None, None]
    return envelope * torch.complex((weights * phases.cos()).sum(-1), (weights * phases.sin()).sum(-1))


def slices_of_beads(
    centres_ang: Tensor,
    amplitudes: Tensor,
    sigma_ang: Tensor,
    rotations: Tensor,
    lattice: HalfPlane,
    count: int,
    pixel_size_ang: float | Tensor,
) -> Tensor:
    """Central slices of beads on a lattice, in the way that is fastest.

    Parameters
    ----------
    centres_ang : (B, n, 3), or (1, n, 3) for one set of beads in all images; from the centre of the box.
    amplitudes : (B, n) or (1, n).
    sigma_ang : (), the width of all beads.
    rotations : (B, P, 3, 3). Volume to view.
    count : how many leading coefficients of the lattice.

    Returns
    -------
    (B, P, count) complex, as docs/conventions.md has them: sums over voxels, origin at the centre of the box.
    """
    b, p = rotations.shape[:2]
    extent_ang = lattice.box * pixel_size_ang
    places = (centres_ang[:, None] @ rotations[..., :2, :].mT / extent_ang).flatten(0, 1)
    if len(amplitudes) > 1:
        amplitudes = amplitudes.repeat_interleave(p, dim=0)
    indices, squares = _frequencies(lattice, count, places.device)
    by_grid = places.shape[1] >= SPLAT_FROM and places.device.type == "cpu"
    sums = (splatting.plane_sums if by_grid else separable_sums)(places, amplitudes, indices)
    return (sums * _envelope(sigma_ang, squares.to(places.dtype), extent_ang)).reshape(b, p, count)


def separable_sums(places: Tensor, amplitudes: Tensor, indices: Tensor) -> Tensor:
    """Σ_j a_j exp(−2πi k·r_j) in the plane, without any approximation; arguments as of `splatting.plane_sums`.

    exp(−2πi (kx x + ky y)) is a product, so that the sum over beads for all frequencies together is a matrix of waves
    along y times one along x; real and imaginary parts, and ± ky, are sums and differences of its four blocks.
    """
    harmonics = torch.arange(int(indices.abs().max()) + 1, device=places.device, dtype=places.dtype)
    turns = harmonics[:, None] * places.mT[:, :, None]
    # Whole turns are taken off before they cost digits.
    angles = 2 * math.pi * (turns - turns.detach().round())
    waves = torch.cat([angles.cos(), angles.sin()], dim=2)
    product = (waves[:, 1] * amplitudes[:, None]) @ waves[:, 0].mT
    n = len(harmonics)
    both, cos_sin, sin_cos, neither = product[:, :n, :n], product[:, :n, n:], product[:, n:, :n], product[:, n:, n:]
    real = torch.stack([both - neither, both + neither], dim=1)
    imaginary = torch.stack([-cos_sin - sin_cos, sin_cos - cos_sin], dim=1)
    kx, ky = indices.unbind(1)
    where = ((ky < 0) * n + ky.abs()) * n + kx
    return torch.complex(real.flatten(1)[:, where], imaginary.flatten(1)[:, where])


def volume_of_beads(
    centres_ang: Tensor, amplitudes: Tensor, sigma_ang: Tensor, box: int, pixel_size_ang: float | Tensor
) -> Tensor:
    """The map of beads, (box, box, box) as vol[z, y, x], origin at box // 2: what slices show up to |k| = box / 2 − 1.

    Parameters
    ----------
    centres_ang : (n, 3); amplitudes : (n,); sigma_ang : ().
    """
    limit = box // 2 - 1
    extent_ang = box * pixel_size_ang
    places = centres_ang / extent_ang
    by_grid = len(places) >= SPLAT_FROM and places.device.type == "cpu"
    sums = (splatting.space_sums if by_grid else separable_space_sums)(places, amplitudes, limit)
    k = torch.arange(-limit, limit + 1, device=places.device)
    squares = k[:, None, None] ** 2 + k[:, None] ** 2 + k[limit:] ** 2
    centred = 1.0 - 2.0 * ((k[:, None, None] + k[:, None] + k[limit:]) % 2)
    weights = _envelope(sigma_ang, squares.to(places.dtype), extent_ang) * (squares <= limit**2) * centred
    full = torch.zeros((box, box, box // 2 + 1), dtype=sums.dtype, device=places.device)
    full[k[:, None] % box, k % box, : limit + 1] = sums * weights
    return torch.fft.irfftn(full, s=(box, box, box))


def separable_space_sums(places: Tensor, amplitudes: Tensor, limit: int) -> Tensor:
    """Σ_j a_j exp(−2πi k·r_j) in space, without any approximation; arguments as of `splatting.space_sums`."""
    signed = torch.arange(-limit, limit + 1, device=places.device, dtype=places.dtype)
    turns = places.T[:, None] * signed[:, None]
    angles = -2 * math.pi * (turns - turns.detach().round())
    x, y, z = torch.complex(angles.cos(), angles.sin())
    step = max(1, CHUNK // (len(signed) * len(places)))
    parts = [((z[i : i + step] * amplitudes)[:, None] * y) @ x[limit:].T for i in range(0, len(z), step)]
    return torch.cat(parts)


def _envelope(sigma_ang: Tensor, squares: Tensor, extent_ang: float | Tensor) -> Tensor:
    """exp(−2π² σ² |k|²) at squared frequencies in 1/(box · pixel)²."""
    return torch.exp(-2 * math.pi**2 * (sigma_ang / extent_ang) ** 2 * squares)


@lru_cache(maxsize=16)
def _frequencies(lattice: HalfPlane, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """(count, 2) int64 frequencies and their squared lengths."""
    indices = torch.as_tensor(lattice.indices[:count], dtype=torch.int64, device=device)
    return indices, indices.square().sum(1)
