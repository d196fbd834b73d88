"""The spread S (K, K) of amplitudes from its Fisher scoring equations, with groups of amplitudes kept independent."""

import torch
from torch import Tensor

LEAST_VARIANCE = 1e-4
"""Of amplitudes, whose unit is the spread they had before."""


def solved_spread(left: Tensor, right: Tensor, n_outside: int = 0) -> Tensor:
    """The S that solves left · S = right, symmetric and positive.

    Parameters
    ----------
    left, right : (K², K²), and (K, K) with S as a vector by rows.
    n_outside : the last so many amplitudes are independent of the others: those entries of S are 0.
    """
    k = len(right)
    solved, allowed = torch.zeros_like(right.flatten()), within_groups(k, n_outside, right.device).flatten()
    left, right = left[allowed][:, allowed], right.flatten()[allowed]
    ridge = 1e-9 * left.diagonal().mean() * torch.eye(len(left), dtype=left.dtype, device=left.device)
    solved[allowed] = torch.linalg.solve(left + ridge, right)
    square = solved.view(k, k)
    values, vectors = torch.linalg.eigh((square + square.T) / 2)
    return vectors @ values.clamp(min=LEAST_VARIANCE).diag() @ vectors.T


def within_groups(k: int, n_outside: int, device: torch.device) -> Tensor:
    """(K, K) bool: True where both amplitudes are among the first K − n_outside or both among the others."""
    outside = torch.arange(k, device=device) >= k - n_outside
    return outside[:, None] == outside[None, :]
