"""Coordinates on a latent space of any shape: the harmonics of its confusion graph.

Two nodes are neighbours in so far as images cannot tell them apart: W = RᵀR, with R the responsibilities. The
eigenvectors of the random walk on W are the smooth functions of the latent space, slowest first: on a curve they are
cosines of the position, on separate states they tell states apart, on a sheet they are its modes. An eigenvalue says
how well the noise lets the function be seen: 1 perfectly, 0 not at all. Volumes linear in these functions are
non-linear in the motion, and nothing needs to be known of the topology beforehand.
"""

from dataclasses import dataclass

import torch
from scipy.sparse.csgraph import minimum_spanning_tree
from torch import Tensor

from ..slicing.place import on_host
from .nodes import Responsibilities

EMPTY = 1e-12
"""Mass of a node without images, which no function sees."""
LEAST_VISIBLE = 0.02
"""Visibility below which a function is zero: what images hardly see follows their contrast and their noise."""
REACH = 2.0
"""Nats by which nodes across the widest gap are less neighbours than nodes in one place, when they are ordered."""


@dataclass(frozen=True)
class Harmonics:
    """`values` (M, Q): each function at each node, of unit mean square over the population; `visibility` (Q,) falls."""

    values: Tensor
    visibility: Tensor

    @property
    def features(self) -> Tensor:
        """(M, Q + 1): 1 (the mean volume's amplitude), then the functions."""
        return torch.nn.functional.pad(self.values, (1, 0), value=1.0)


def harmonics(responsible: Responsibilities, count: int) -> Harmonics:
    """The `count` slowest functions beside the constant one; functions beyond the number of nodes are zero, and so are
    all but the first that no image sees.
    """
    confusion = responsible.shares.T @ responsible.shares
    mass = confusion.sum(1).clamp(min=EMPTY)
    visibility, vectors = torch.linalg.eigh(confusion / (mass[:, None] * mass[None, :]).sqrt())
    slowest = visibility.argsort(descending=True)[1 : count + 1]
    slowest = slowest[: max(int((visibility[slowest] >= LEAST_VISIBLE).sum()), 1)]
    values = vectors[:, slowest] / mass.sqrt()[:, None]
    values = values / ((values**2).T @ responsible.population).sqrt()
    # The sign of an eigenvector is arbitrary: what is largest of each is made positive.
    largest = values.gather(0, values.abs().argmax(0, keepdim=True))
    values = values * torch.where(largest < 0, -1.0, 1.0)
    absent = count - len(slowest)
    pad = torch.nn.functional.pad
    return Harmonics(pad(values, (0, absent)), pad(visibility[slowest], (0, absent)))


def along_the_motion(apart: Tensor, population: Tensor) -> Tensor:
    """(M,) a number for each node that grows along the longest way through the nodes' maps.

    Confusion cannot order states that no image confuses, and through a CTF what has moved by more than its own width
    is merely different. Distances between blurred maps keep growing, so the slowest function on them is taken instead.

    Parameters
    ----------
    apart : (M, M) distances between the blurred maps at the nodes.
    population : (M,) share of the images at each node.
    """
    widest_gap = float(minimum_spanning_tree(on_host(apart)).data.max(initial=torch.finfo(apart.dtype).tiny))
    near = torch.exp(-REACH * (apart / widest_gap) ** 2) * (population[:, None] * population[None, :]).sqrt()
    mass = near.sum(1)
    # Eigenvalues rise: the last function is the constant one, the one before it the slowest.
    slowest = torch.linalg.eigh(near / (mass[:, None] * mass[None, :]).sqrt())[1][:, -2:]
    return slowest[:, 0] / mass.sqrt()


def positions(responsible: Responsibilities, along: Tensor) -> tuple[Tensor, Tensor]:
    """Where each image lies along the motion: the share of the population before it.

    Parameters
    ----------
    along : (M,) what `along_the_motion` gives.

    Returns
    -------
    (N,) posterior mean in [0, 1] and (N,) posterior standard deviation.
    """
    order = along.argsort(stable=True)
    position = torch.empty_like(along)
    # Half of its own population lies before a node.
    position[order] = responsible.population[order].cumsum(0) - responsible.population[order] / 2
    mean = responsible.shares @ position
    return mean, (responsible.shares @ position**2 - mean**2).clamp(min=0).sqrt()
