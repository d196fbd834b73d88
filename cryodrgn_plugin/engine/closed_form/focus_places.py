"""Where images lie in each region of a focus, and what is known meanwhile of what moves outside.

An image is one of some nodes in every region. Volumes are linear in the harmonics of each region's nodes and in the
amplitudes of the directions outside; one after the other these are the channels of a model,

    1 (the mean),  the harmonics of region 1, of region 2, …,  the amplitudes outside.

Images are compared in one region with the amplitudes of all other channels N(0, 1) and integrated out: harmonics have
unit mean square, so that is what is known of them without the image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..likelihood.equations import Moments
from ..likelihood.nuisances import Nuisances
from ..likelihood.outside import integrated_out, members
from .node_images import NodeImages
from .nodes import Responsibilities


@dataclass(frozen=True)
class AtRegion:
    """What `State` says of the whole molecule, of one region: nodes, distances between their maps, separate states."""

    responsible: Responsibilities
    apart: Tensor
    states: Tensor | None = None


@dataclass(frozen=True)
class FocusPlaces:
    """N images in all regions, and the moments of all C channels: `first` (N, C) E[s], `second` (N, C, C) E[s sᵀ]."""

    regions: tuple[AtRegion, ...]
    first: Tensor
    second: Tensor

    def moments(self, nuisances: Nuisances) -> Moments:
        """Those of images, their contrast included."""
        contrast, square = nuisances.contrast, nuisances.squared_contrast()

        def moments(index: np.ndarray) -> tuple[Tensor, Tensor]:
            rows = torch.as_tensor(index, device=contrast.device)
            return contrast[rows, None] * self.first[rows], square[rows, None, None] * self.second[rows]

        return moments


def seen_in(gram: Tensor, inner: Tensor, own: Tensor, start: Tensor) -> NodeImages:
    """Compressed images over the bases `own` (K,), numbered from 0, the amplitudes of all others integrated out.

    A part of the molecule cannot tell the contrast of an image, nor may a node of a region have more or less of the
    rest than others: `gram` (N, C, C) and `inner` (N, C) are at the contrasts that the whole molecule speaks for.
    """
    others = torch.ones(gram.shape[1], dtype=torch.bool, device=gram.device)
    kept = with_mean(own)
    others[kept] = False
    order = torch.cat([kept, torch.nonzero(others)[:, 0]])
    ordered = gram[:, order[:, None], order[None, :]], inner[:, order]
    return NodeImages(*integrated_out(*ordered, int(others.sum())), start, 0.0)


def with_mean(own: Tensor) -> Tensor:
    """(1 + n,) channels: that of the mean, and those of bases `own` (n,) that are numbered from 0."""
    return torch.nn.functional.pad(own + 1, (1, 0))


def joint_moments(
    shares: Sequence[Tensor], places: Sequence[Tensor], features: Sequence[Tensor], gram: Tensor, inner: Tensor
) -> tuple[Tensor, Tensor]:
    """E[s] (N, C') and E[s sᵀ] (N, C', C') of the channels (1, features of each region, amplitudes outside).

    Regions are independent given an image, which holds as far as images tell where it is in each. Given all of them
    the amplitudes outside are Gaussian, with the mean (E + 1)⁻¹ (b_o − A_os s) and the covariance (E + 1)⁻¹.

    Parameters
    ----------
    shares : (N, M_r) how far images belong to the nodes of each region.
    places, features : (M_r, 1 + K_r) and (M_r, 1 + Q_r), a 1 in front: where the nodes lie among the volumes of `gram`,
        and what volumes shall be functions of next.
    gram, inner : (N, C, C), (N, C) over 1 + Σ K_r channels and those outside, at the contrasts of the images.
    """
    inside = 1 + sum(of_nodes.shape[1] - 1 for of_nodes in places)
    n_outside = gram.shape[1] - inside
    at, mean = _mean(shares, places), _mean(shares, features)
    own = torch.eye(n_outside, dtype=gram.dtype, device=gram.device)
    left = torch.linalg.inv(gram[:, inside:, inside:] + own)
    slope = left @ gram[:, inside:, :inside]
    outside = (left @ inner[:, inside:, None])[:, :, 0] - (slope @ at[:, :, None])[:, :, 0]
    first = torch.cat([mean, outside], 1)
    second, own = first[:, :, None] * first[:, None, :], slice(mean.shape[1], None)
    among = _covariance(shares, features, features)
    second[:, 1 : mean.shape[1], 1 : mean.shape[1]] += among
    tied = -slope[:, :, 1:] @ _covariance(shares, places, features)
    second[:, own, 1 : mean.shape[1]] += tied
    second[:, 1 : mean.shape[1], own] += tied.mT
    second[:, own, own] += left + slope[:, :, 1:] @ _covariance(shares, places, places) @ slope[:, :, 1:].mT
    return first, second


def _mean(shares: Sequence[Tensor], values: Sequence[Tensor]) -> Tensor:
    """(N, 1 + Σ n_r) expectations of what nodes (M_r, 1 + n_r) of each region say, a 1 in front."""
    told = [of_region @ at[:, 1:] for of_region, at in zip(shares, values, strict=True)]
    return torch.nn.functional.pad(torch.cat(told, 1), (1, 0), value=1.0)


def _covariance(shares: Sequence[Tensor], ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> Tensor:
    """(N, Σ n_r, Σ n'_r) posterior covariances of two things that nodes say, 0 between regions."""
    blocks = [
        (own @ (a[:, 1:, None] * b[:, None, 1:]).flatten(1)).view(len(own), a.shape[1] - 1, b.shape[1] - 1)
        - (own @ a[:, 1:])[:, :, None] * (own @ b[:, 1:])[:, None, :]
        for own, a, b in zip(shares, ours, theirs, strict=True)
    ]
    rows, columns = (tuple(block.shape[axis] for block in blocks) for axis in (1, 2))
    whole = blocks[0].new_zeros(len(blocks[0]), sum(rows), sum(columns))
    for block, row, column in zip(blocks, members(rows, whole.device), members(columns, whole.device), strict=True):
        whole[:, row[:, None], column[None, :]] = block
    return whole
