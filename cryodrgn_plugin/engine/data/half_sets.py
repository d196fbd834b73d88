"""Half-sets of particles: the one place where they are drawn, so that nothing of one half is in the other.

What is drawn is an object and not a row: all images of a particle share what is wrong with its pose, and an image and
its copies share their noise.
"""

import numpy as np

from ..io.chosen_rows import particle_of_image
from .copies import joined, numbered
from .dataset import ParticleDataset

Seed = int | list[int] | np.random.Generator


def drawn_halves(dataset: ParticleDataset, seed: Seed) -> np.ndarray:
    """0 or 1 for each image by chance, one for all that must stay together, (N,) int8."""
    return dealt(tied_images(dataset), seed)


def tied_images(dataset: ParticleDataset) -> np.ndarray:
    """(N,) int64. Numbers from 0, as they come; images of one particle and copies of an image share one."""
    particle = numbered(particle_of_image(dataset.table)[dataset.rows])
    return joined(particle, dataset.copies.shown) if dataset.copies.any else particle


def dealt(tied: np.ndarray, seed: Seed) -> np.ndarray:
    """0 or 1 by chance for each number from 0 in `tied` (N,), as many of each as can be; at its places, (N,) int8."""
    count = int(tied.max(initial=-1)) + 1
    return (np.random.default_rng(seed).permutation(count) % 2).astype(np.int8)[tied]


def united(half: np.ndarray, tied: np.ndarray) -> np.ndarray:
    """(N,) halves where all that is tied (N,) follows the first of it."""
    _, first, which = np.unique(tied, return_index=True, return_inverse=True)
    return half[first[which.reshape(-1)]]
