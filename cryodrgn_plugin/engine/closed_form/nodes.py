"""A latent space of any shape as nodes in amplitude space, fitted to compressed images.

Each node is a point s_m of amplitudes with a population π_m; image i belongs to it in proportion to π_m exp ℓ_i(s_m),
where ℓ_i(s) = b_i·s − ½ sᵀ A_i s needs no image any more, and the contrast of the image is integrated out. Nodes are free: a curve, a sheet and separate states all come
out.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from .. import threads
from ..slicing.place import on_host

RIDGE = 2.0
"""How much a node resists moving, in units of one image's information."""


@dataclass(frozen=True)
class Responsibilities:
    """`log_shares` (N, M): logarithm of how far each image belongs to each node, shares of an image sum to 1;
    `population` (M,), sums to 1. Both float64.
    """

    log_shares: Tensor
    population: Tensor

    @cached_property
    def shares(self) -> Tensor:
        """(N, M)."""
        return self.log_shares.exp()


@dataclass(frozen=True)
class AtNodes:
    """N images at M nodes, (N, M) each: `scores`, log-likelihoods ℓ_i(s_m) with the contrast g integrated out, and the
    posterior means of g and g² there, `contrast` and `square`.
    """

    scores: Tensor
    contrast: Tensor
    square: Tensor


def at_nodes(gram: Tensor, inner: Tensor, nodes: Tensor, contrast_sd: float = 0.0) -> AtNodes:
    """Compressed images A (N, C, C), b (N, C) at nodes (M, C): the contrast is that of the image of the node's own map.

    With p = sᵀ A s and q = b·s, ℓ = q − p/2 + ½ (q − p)²/(p + κ⁻²) − ½ log(1 + κ² p), g ~ N(1, κ²).
    """
    outer = (nodes[:, :, None] * nodes[:, None, :]).flatten(1)
    power, shared = gram.flatten(1) @ outer.T, inner @ nodes.T
    given_one = shared - power / 2
    if not contrast_sd:
        whole = torch.ones_like(power)
        return AtNodes(given_one, whole, whole)
    variance = 1 / (power.clamp(min=0) + contrast_sd**-2)
    away = (shared - power) * variance
    scores = given_one + (away**2 / variance + (variance / contrast_sd**2).log()) / 2
    return AtNodes(scores, 1 + away, (1 + away) ** 2 + variance)


def responsibilities(scores: Tensor, population: Tensor, rounds: int = 1) -> Responsibilities:
    """Shares of each image from scores ℓ (N, M), with the populations brought up to date `rounds` times."""
    for _ in range(rounds):
        log_shares = (scores + population.log()).log_softmax(1)
        population = (log_shares.exp().sum(0) + 1) / (len(log_shares) + len(population))
    return Responsibilities(log_shares, population)


def merged(responsible: Responsibilities, coordinates: Tensor, count: int, seed: int) -> Responsibilities:
    """The same with `count` nodes: those whose `coordinates` (M, Q) lie together become one."""
    points, weight = on_host(coordinates), on_host(responsible.population)
    count = min(count, len(np.unique(points, axis=0)))
    with threads.sums_in_one_order():
        labels = KMeans(count, n_init=2, random_state=seed).fit(points, sample_weight=weight).labels_
    # (M, count), a 1 where a node becomes part of a new one: products with it are sums over its parts.
    becomes = torch.eye(count, dtype=coordinates.dtype, device=coordinates.device)[torch.as_tensor(labels).long()]
    return Responsibilities((responsible.shares @ becomes).log(), becomes.T @ responsible.population)


def evidence(scores: Tensor, population: Tensor) -> float:
    """Mean over images of log Σ_m π_m exp ℓ_i(s_m)."""
    return float((scores + population.log()).logsumexp(1).mean())


def fit_nodes(
    gram: Tensor, inner: Tensor, start: Tensor, count: int, rounds: int, seed: int, contrast_sd: float = 0.0
) -> tuple[Responsibilities, Tensor]:
    """Place `count` nodes by EM; returns how far images belong to them, and where they are, (M, C).

    Parameters
    ----------
    gram, inner : compressed images; channel 0 is the mean volume.
    start : (N, K) posterior means of the amplitudes, whose k-means centres the nodes start from.
    """
    points, k = on_host(start), start.shape[1]
    count = min(count, len(np.unique(points, axis=0)))
    with threads.sums_in_one_order():
        clusters = KMeans(count, n_init=2, random_state=seed).fit(points)
    centres = torch.as_tensor(clusters.cluster_centers_).to(start)
    # Where nothing moves the bases are empty; then nodes stay where they are.
    ridge = max(RIDGE * float(gram[:, 1:, 1:].mean(0).trace()) / k, 1e-9)
    flat_gram = gram[:, 1:, 1:].flatten(1)
    population = torch.full((count,), 1 / count, dtype=start.dtype, device=start.device)
    identity = torch.eye(k, dtype=start.dtype, device=start.device)
    for _ in range(rounds):
        here = at_nodes(gram, inner, _with_mean(centres), contrast_sd)
        responsible = responsibilities(here.scores, population)
        population = responsible.population
        weight, squared = responsible.shares * here.contrast, responsible.shares * here.square
        left = (squared.T @ flat_gram).reshape(count, k, k) + ridge * identity
        right = weight.T @ inner[:, 1:] - squared.T @ gram[:, 1:, 0] + ridge * centres
        centres = torch.linalg.solve(left, right)
    nodes = _with_mean(centres)
    return responsibilities(at_nodes(gram, inner, nodes, contrast_sd).scores, population), nodes


def _with_mean(centres: Tensor) -> Tensor:
    return torch.nn.functional.pad(centres, (1, 0), value=1.0)
