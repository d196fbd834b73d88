"""Amplitudes that nobody asks for, integrated out: what moves outside a focus is one more nuisance of an image.

They are Gaussian, as errors of poses are, and so take their place among these: with gram [[A, B], [Bᵀ, E]] over
amplitudes and errors, every base whose amplitude is N(0, 1) may be counted as an error of variance 1.
"""

from dataclasses import replace
from itertools import accumulate

import torch
from torch import Tensor

from .near_images import NearImages
from .nuisances import Nuisances


def as_nuisances(near: NearImages, nuisances: Nuisances, kept: Tensor) -> tuple[NearImages, Nuisances]:
    """The same images over the amplitudes of some bases, those of the others N(0, 1) and unknown.

    Parameters
    ----------
    near : compressed images in the frame where amplitudes are N(0, 1).
    kept : (n,) int64, numbers of bases from 0.

    Returns
    -------
    Compressed images of n bases, and nuisances that have the other amplitudes in front of the pose errors.
    """
    n_bases, device = near.n_bases, near.gram.device
    others = torch.ones(n_bases, dtype=torch.bool, device=device)
    others[kept] = False
    others = torch.nonzero(others)[:, 0]
    errors = torch.arange(n_bases + 1, near.gram.shape[1], device=device)
    order = torch.cat([torch.zeros(1, dtype=torch.long, device=device), kept + 1, others + 1, errors])
    gram, inner = near.gram[:, order[:, None], order[None, :]], near.inner[:, order]
    variances = torch.cat([nuisances.pose_sd.new_ones(len(others)), nuisances.pose_sd])
    moved = torch.nn.functional.pad(nuisances.moved, (len(others), 0))
    return NearImages(gram, inner, len(kept)), replace(nuisances, moved=moved, pose_sd=variances)


def members(groups: tuple[int, ...], device: torch.device) -> list[Tensor]:
    """(n,) each: the numbers from 0 of what belongs to each of some groups of these sizes, one after the other."""
    ends = accumulate(groups)
    return [torch.arange(end - size, end, device=device) for size, end in zip(groups, ends, strict=True)]


def integrated_out(gram: Tensor, inner: Tensor, n_outside: int) -> tuple[Tensor, Tensor]:
    """Compressed images (N, C, C), (N, C) over all but the last `n_outside` amplitudes, which are N(0, 1)."""
    if not n_outside:
        return gram, inner
    c = gram.shape[1] - n_outside
    own = torch.eye(n_outside, dtype=gram.dtype, device=gram.device)
    taken = torch.linalg.solve(gram[:, c:, c:] + own, gram[:, c:, :c])
    left = gram[:, :c, :c] - gram[:, :c, c:] @ taken
    return left, inner[:, :c] - (inner[:, None, c:] @ taken)[:, 0]


def at_known_contrast(gram: Tensor, inner: Tensor, nuisances: Nuisances) -> tuple[Tensor, Tensor]:
    """Compressed images for contrast 1 at the contrasts that the images seem to have."""
    return gram * nuisances.squared_contrast()[:, None, None], inner * nuisances.contrast[:, None]
