"""Rotations as networks give them, in torch: six numbers without gaps or jumps, and small turns about an axis.

Three or four numbers cannot follow all rotations continuously, six can (Zhou et al. 2019, CVPR, "On the continuity of
rotation representations"); two vectors made orthonormal, S² × S² in Zhong's thesis, 5.6.3.
"""

import torch
from torch import Tensor


def rotations_from_six(values: Tensor) -> Tensor:
    """Rotations (..., 3, 3), volume to view, of any six numbers (..., 6).

    The first three point along the view's x axis, the first row of A; the other three, made orthogonal to it, along its
    y axis, the second row. These rows are what a central slice depends on (docs/conventions.md, eq. 1).
    """
    first, second = values[..., :3], values[..., 3:]
    x = torch.nn.functional.normalize(first, dim=-1)
    y = torch.nn.functional.normalize(second - (second * x).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=-2)


def turns(vectors: Tensor) -> Tensor:
    """Rotations (..., 3, 3) about axes by angles in radians, given as their products (..., 3) (Rodrigues' formula)."""
    angle = vectors.norm(dim=-1)[..., None, None]
    # sin(θ)/θ and (1 − cos θ)/θ², smooth at 0.
    first = torch.sinc(angle / torch.pi)
    second = torch.sinc(angle / (2 * torch.pi)) ** 2 / 2
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    generator = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(*vectors.shape, 3)
    identity = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
    return identity + first * generator + second * generator @ generator


def turn_vectors(rotations: Tensor) -> Tensor:
    """Axes times angles in radians (..., 3) of rotations (..., 3, 3): the inverse of `turns` for angles below π."""
    r = rotations
    twice = torch.stack([r[..., 2, 1] - r[..., 1, 2], r[..., 0, 2] - r[..., 2, 0], r[..., 1, 0] - r[..., 0, 1]], -1)
    sine = twice.norm(dim=-1, keepdim=True) / 2
    cosine = (r.diagonal(dim1=-2, dim2=-1).sum(-1, keepdim=True) - 1) / 2
    tiny = torch.finfo(r.dtype).tiny
    # By half the angle: the last bit of torch's atan2 depends on how many rotations there are.
    angle = 2 * torch.atan(sine / (1 + cosine))
    return twice / 2 * torch.where(sine > 0, angle / sine.clamp(min=tiny), 1.0)


def random_rotations(count: int, generator: torch.Generator) -> Tensor:
    """`count` rotations drawn uniformly from SO(3), (count, 3, 3): two normal vectors made orthonormal."""
    return rotations_from_six(torch.randn(count, 6, generator=generator))
