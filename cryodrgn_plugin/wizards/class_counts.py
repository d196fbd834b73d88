"""Numbers of classes worth trying, with what each would make of the particles. Free of any window."""

from dataclasses import dataclass

import numpy as np

COUNTS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20)
SAMPLE = 3000
"""Particles that are looked at."""


@dataclass(frozen=True)
class ClassCount:
    """A number of classes."""

    count: int
    explained: float
    """The share of the spread of the particles that lies between the classes."""
    smallest: float
    """The share of the particles in the smallest class."""


def class_counts(z: np.ndarray, seed: int = 0) -> list[ClassCount]:
    """K-means of a sample of latents (N, Z) into each number of classes that leaves three particles for each."""
    from scipy.cluster.vq import kmeans2

    rng = np.random.default_rng(seed)
    sample = z[rng.permutation(len(z))[:SAMPLE]].astype(np.float64)
    whole = ((sample - sample.mean(axis=0)) ** 2).sum()
    counts = []
    for count in COUNTS:
        if 3 * count > len(sample):
            break
        centres, labels = kmeans2(sample, count, minit="++", seed=seed)
        within = ((sample - centres[labels]) ** 2).sum()
        sizes = np.bincount(labels, minlength=count)
        counts.append(ClassCount(count, float(1 - within / whole) if whole else 0.0, float(sizes.min() / len(sample))))
    return counts
