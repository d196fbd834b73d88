"""Which particles a map at a point rests on, and how heavily each counts: a kernel over their positions."""

from dataclasses import dataclass

import numpy as np

LEAST = 0.2
"""Weight of the farthest particle of a kernel; the nearest has 1."""


@dataclass(frozen=True)
class Kernel:
    """Particles near a point: `index` (m,) ascending, `weights` (m,) float32, 1 for a particle at the point itself."""

    index: np.ndarray
    weights: np.ndarray

    @property
    def effective(self) -> float:
        """How many equally weighted particles would average noise as well: (Σw)² / Σw² (Kish)."""
        return effective_number(self.weights)


def effective_number(weights: np.ndarray) -> float:
    """(Σw)² / Σw² of weights (m,)."""
    total = weights.sum(dtype=np.float64)
    return float(total**2 / np.square(weights, dtype=np.float64).sum()) if total else 0.0


def kernel_at(positions: np.ndarray, centre: np.ndarray, effective: int, seed: int = 0) -> Kernel:
    """Epanechnikov weights 1 − (d/r)² of the particles nearest to a point, as many as the effective number asks for.

    Parameters
    ----------
    positions : (N, P) of the particles; centre (P,).
    effective : number of particles wanted (see `Kernel.effective`), at most that of all particles.
    seed : of the order in which particles at one distance are taken.
    """
    distance2 = ((positions - centre) ** 2).sum(axis=1)
    shuffled = np.random.default_rng(seed).permutation(len(distance2))
    order = shuffled[np.argsort(distance2[shuffled], kind="stable")]
    sorted2 = distance2[order]
    low, high = 1, len(order)
    while low < high:  # the effective number grows with the count of particles inside
        middle = (low + high) // 2
        low, high = (low, middle) if effective_number(_weights(sorted2, middle)) >= effective else (middle + 1, high)
    weights = _weights(sorted2, low)
    ascending = np.argsort(order[:low])
    return Kernel(order[:low][ascending], weights[ascending].astype(np.float32))


def _weights(sorted2: np.ndarray, count: int) -> np.ndarray:
    """(count,) weights of the nearest; the farthest of them keeps a share, so that equal distances count alike."""
    radius2 = sorted2[count - 1] / (1 - LEAST)
    return np.ones(count) if radius2 <= 0 else 1 - sorted2[:count] / radius2
