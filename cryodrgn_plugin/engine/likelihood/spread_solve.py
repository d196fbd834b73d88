"""The spread S (K, K) of amplitudes from its Fisher scoring equations, with groups of amplitudes kept independent."""

import torch
from torch import Tensor

LEAST_VARIANCE = 1e-4
"""Of amplitudes, whose unit is the spread they had before."""
ANCHOR = 1.0
"""What speaks for S = 1 among several groups, in units of the Fisher information that one image can have. Of a small
region images may tell nothing at all while they tell much of others; its spread would then become anything."""


def solved_spread(left: Tensor, right: Tensor, groups: tuple[int, ...] = ()) -> Tensor:
    """The S that solves left · S = right, symmetric and positive; of several groups S is held to 1 by `ANCHOR`.

    Parameters
    ----------
    left, right : (K², K²), and (K, K) with S as a vector by rows.
    groups : sizes of groups of amplitudes that are independent of each other: entries of S between them are 0. One
        group if empty.
    """
    k, groups = len(right), groups or (len(right),)
    anchor = ANCHOR if sum(size > 0 for size in groups) > 1 else 0.0
    solved, allowed = torch.zeros_like(right.flatten()), within_groups(groups, right.device).flatten()
    left, right = left[allowed][:, allowed], (right + anchor * torch.eye(k).to(right)).flatten()[allowed]
    ridge = (1e-9 * left.diagonal().mean() + anchor) * torch.eye(len(left), dtype=left.dtype, device=left.device)
    solved[allowed] = torch.linalg.solve(left + ridge, right)
    square = solved.view(k, k)
    values, vectors = torch.linalg.eigh((square + square.T) / 2)
    return vectors @ values.clamp(min=LEAST_VARIANCE).diag() @ vectors.T


def within_groups(groups: tuple[int, ...], device: torch.device) -> Tensor:
    """(K, K) bool: True where both amplitudes are of one group."""
    group = torch.repeat_interleave(torch.arange(len(groups)), torch.tensor(groups)).to(device)
    return group[:, None] == group[None, :]
