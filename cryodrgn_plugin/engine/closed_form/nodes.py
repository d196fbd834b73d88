"""A latent space of any shape as nodes in amplitude space, fitted to compressed images.

Each node is a point s_m of amplitudes with a population π_m; image i belongs to it in proportion to π_m exp ℓ_i(s_m),
where ℓ_i(s) = b_i·s − ½ sᵀ A_i s needs no image any more, and the contrast of the image is integrated out. Nodes are
free: a curve, a sheet and separate states all come out.
"""

import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from .. import threads
from ..likelihood.near_images import parts_of
from ..slicing.place import on_host

RIDGE = 2.0
"""How much a node resists moving, in units of one image's information."""
LEAST_CONTRAST_SD = 0.01


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
    scores = gram.new_empty(len(gram), len(nodes))
    contrast = square = torch.ones_like(scores)
    if contrast_sd:
        square = torch.ones_like(scores)
    for rows in parts_of(len(gram)):
        power, shared = gram[rows].flatten(1) @ outer.T, inner[rows] @ nodes.T
        scores[rows] = shared - power / 2
        if contrast_sd:
            variance = 1 / (power.clamp(min=0) + contrast_sd**-2)
            away = (shared - power) * variance
            scores[rows] += (away**2 / variance + (variance / contrast_sd**2).log()) / 2
            contrast[rows], square[rows] = 1 + away, (1 + away) ** 2 + variance
    return AtNodes(scores, contrast, square)


def contrasts(responsible: Responsibilities, here: AtNodes) -> tuple[float, float]:
    """Mean of the contrasts, and their standard deviation as a share of it."""
    n, shares = len(here.contrast), responsible.shares.flatten()
    mean, square = (float(shares @ of_all.flatten()) / n for of_all in (here.contrast, here.square))
    return mean, max(max(square - mean**2, 0.0) ** 0.5 / mean, LEAST_CONTRAST_SD)


def contrast_of_images(responsible: Responsibilities, here: AtNodes) -> tuple[Tensor, Tensor]:
    """(N,) posterior mean and variance of the contrast of each image."""
    contrast = (responsible.shares * here.contrast).sum(1)
    return contrast, ((responsible.shares * here.square).sum(1) - contrast**2).clamp(min=0)


def responsibilities(scores: Tensor, population: Tensor, rounds: int = 1) -> Responsibilities:
    """Shares of each image from scores ℓ (N, M), with the populations brought up to date `rounds` times."""
    for _ in range(rounds):
        log_shares = (scores + population.log()).log_softmax(1)
        population = (log_shares.exp().sum(0) + 1) / (len(log_shares) + len(population))
    return Responsibilities(log_shares, population)


def merged(responsible: Responsibilities, coordinates: Tensor, count: int, seed: int) -> Responsibilities:
    """The same with `count` nodes: those whose `coordinates` (M, Q) lie together become one."""
    clusters = _clusters(on_host(coordinates), count, seed, on_host(responsible.population))
    present, labels = np.unique(clusters.labels_, return_inverse=True)
    count = len(present)
    # (M, count), a 1 where a node becomes part of a new one: products with it are sums over its parts.
    becomes = torch.eye(count, dtype=coordinates.dtype, device=coordinates.device)[torch.as_tensor(labels).long()]
    return Responsibilities((responsible.shares @ becomes).log(), becomes.T @ responsible.population)


def _clusters(points: np.ndarray, count: int, seed: int, weight: np.ndarray | None = None) -> KMeans:
    """At most `count` clusters of points (M, Q), fewer where fewer differ."""
    count = min(count, len(np.unique(points, axis=0)))
    with threads.sums_in_one_order(), warnings.catch_warnings():
        # Points that differ by rounding alone leave clusters empty, which nodes do not mind.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return KMeans(count, n_init=2, random_state=seed).fit(points, sample_weight=weight)


def evidence(scores: Tensor, population: Tensor) -> float:
    """Mean over images of log Σ_m π_m exp ℓ_i(s_m)."""
    return float((scores + population.log()).logsumexp(1).mean())


@dataclass(frozen=True)
class FittedNodes:
    """How far images belong to M nodes, `nodes` (M, C), and the contrasts there: standard deviation `contrast_sd`,
    posterior mean `contrast` and variance `contrast_variance` (N,) of each image.
    """

    responsible: Responsibilities
    nodes: Tensor
    contrast_sd: float
    contrast: Tensor
    contrast_variance: Tensor


def sums_at_nodes(
    gram: Tensor, inner: Tensor, responsible: Responsibilities, here: AtNodes, given: int
) -> tuple[Tensor, Tensor]:
    """What the images of each node say of its amplitudes but the first `given`: matrices (M, C', C') and right-hand
    sides (M, C')."""
    count, kept, shares = len(responsible.population), gram.shape[1] - given, responsible.shares
    left, right = gram.new_zeros(count, kept**2), gram.new_zeros(count, kept)
    # A product may be split over images among threads, and its last digits depend on how.
    with threads.sums_in_one_order():
        for rows in parts_of(len(gram)):
            weight, squared = shares[rows] * here.contrast[rows], shares[rows] * here.square[rows]
            left += squared.T @ gram[rows, given:, given:].flatten(1)
            right += weight.T @ inner[rows, given:]
            if given:
                right -= squared.T @ gram[rows, 1:, 0]
    return left.view(count, kept, kept), right


def ridge_of(gram: Tensor, size: int) -> Tensor:
    """(size, size) how much a node resists moving: a little where bases are empty, so that it stays."""
    information = gram[:, 1:, 1:].mean(0).trace() / (gram.shape[1] - 1)
    return max(RIDGE * float(information), 1e-9) * torch.eye(size, dtype=gram.dtype, device=gram.device)


def fit_nodes(
    gram: Tensor, inner: Tensor, start: Tensor, count: int, rounds: int, seed: int, contrast_sd: float = 0.0
) -> FittedNodes:
    """Place `count` nodes by EM.

    A node may also have more or less of the mean than others. Parts that are absent differ like that, and seem to
    differ in contrast until the states are told apart; so the spread of contrasts is learned anew.

    Parameters
    ----------
    gram, inner : compressed images; channel 0 is the mean volume.
    start : (N, K) posterior means of the amplitudes, whose k-means centres the nodes start from.
    contrast_sd : of the contrasts around 1.
    """
    clusters, c = _clusters(on_host(start), count, seed), gram.shape[1]
    count = len(clusters.cluster_centers_)
    nodes = torch.nn.functional.pad(torch.as_tensor(clusters.cluster_centers_).to(start), (1, 0), value=1.0)
    free = 0 if contrast_sd else 1
    ridge = ridge_of(gram, c - free)
    population = torch.full((count,), 1 / count, dtype=start.dtype, device=start.device)
    for _ in range(rounds):
        here = at_nodes(gram, inner, nodes, contrast_sd)
        responsible = responsibilities(here.scores, population)
        population = responsible.population
        left, right = sums_at_nodes(gram, inner, responsible, here, free)
        nodes_free = torch.linalg.solve(left + ridge, right + nodes[:, free:] @ ridge)
        nodes = torch.cat([nodes[:, :free], nodes_free], 1)
        if contrast_sd:
            # The scale of nodes and that of contrasts are one; contrasts are 1 on average.
            mean, contrast_sd = contrasts(responsible, here)
            nodes = nodes * mean
    here = at_nodes(gram, inner, nodes, contrast_sd)
    responsible = responsibilities(here.scores, population)
    return FittedNodes(responsible, nodes, contrast_sd, *contrast_of_images(responsible, here))
