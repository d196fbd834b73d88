"""Coordinates on a latent space of any shape: the harmonics of its confusion graph.

Two nodes are neighbours in so far as images cannot tell them apart: W = RᵀR, with R the responsibilities. The
eigenvectors of the random walk on W are the smooth functions of the latent space, slowest first: on a curve they are
cosines of the position, on separate states they tell states apart, on a sheet they are its modes. An eigenvalue says
how well the noise lets the function be seen: 1 perfectly, 0 not at all. Volumes linear in these functions are
non-linear in the motion, and nothing needs to be known of the topology beforehand.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse.csgraph import minimum_spanning_tree

from .nodes import Responsibilities

EMPTY = 1e-12
"""Mass of a node without images, which no function sees."""
REACH = 2.0
"""Nats by which nodes across the widest gap are less neighbours than nodes in one place, when they are ordered."""


@dataclass(frozen=True)
class Harmonics:
    """`values` (M, Q): each function at each node, of unit mean square over the population; `visibility` (Q,) falls."""

    values: np.ndarray
    visibility: np.ndarray

    @property
    def features(self) -> np.ndarray:
        """(M, Q + 1): 1 (the mean volume's amplitude), then the functions."""
        return np.concatenate([np.ones((len(self.values), 1)), self.values], axis=1)


def harmonics(found: Responsibilities, count: int) -> Harmonics:
    """The `count` slowest functions beside the constant one; functions beyond the number of nodes are zero."""
    confusion = found.shares.T @ found.shares
    mass = np.maximum(confusion.sum(1), EMPTY)
    visibility, vectors = np.linalg.eigh(confusion / np.sqrt(mass[:, None] * mass[None, :]))
    slowest = np.argsort(visibility)[::-1][1 : count + 1]
    values = vectors[:, slowest] / np.sqrt(mass)[:, None]
    values /= np.sqrt(found.population @ values**2)
    values *= np.where(values[np.abs(values).argmax(0), np.arange(len(slowest))] < 0, -1.0, 1.0)
    absent = count - len(slowest)
    return Harmonics(np.pad(values, ((0, 0), (0, absent))), np.pad(visibility[slowest], (0, absent)))


def along_the_motion(apart: np.ndarray, population: np.ndarray) -> np.ndarray:
    """(M,) a number for each node that grows along the longest way through the nodes' maps.

    Confusion cannot order states that no image confuses, and through a CTF what has moved by more than its own width
    is merely different. Distances between blurred maps keep growing, so the slowest function on them is taken instead.

    Parameters
    ----------
    apart : (M, M) distances between the blurred maps at the nodes.
    population : (M,) share of the images at each node.
    """
    widest_gap = minimum_spanning_tree(apart).data.max(initial=np.finfo(float).tiny)
    near = np.exp(-REACH * (apart / widest_gap) ** 2) * np.sqrt(population[:, None] * population[None, :])
    mass = near.sum(1)
    slowest = np.linalg.eigh(near / np.sqrt(mass[:, None] * mass[None, :]))[1][:, -2:]
    return slowest[:, 0] / np.sqrt(mass)


def positions(found: Responsibilities, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each image lies along the motion: the share of the population before it.

    Parameters
    ----------
    along : (M,) what `along_the_motion` gives.

    Returns
    -------
    (N,) posterior mean in [0, 1] and (N,) posterior standard deviation.
    """
    order = np.argsort(along, kind="stable")
    place = np.empty(len(order))
    place[order] = np.cumsum(found.population[order]) - found.population[order] / 2
    mean = found.shares @ place
    return mean, np.sqrt(np.maximum(found.shares @ place**2 - mean**2, 0))
