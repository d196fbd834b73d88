"""Which particles a map at a point rests on, and how heavily each counts: a kernel over their positions."""

from dataclasses import dataclass

import numpy as np

LEAST = 0.2
"""Weight of the farthest particle of a kernel; the nearest has 1."""
HALVINGS = 40
"""Of the gap between two particles, in which the edge of a kernel is looked for."""


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
    weights = _weights(distance2[order], effective)
    index = order[: len(weights)]
    ascending = np.argsort(index)
    return Kernel(index[ascending], weights[ascending].astype(np.float32))


def _weights(sorted2: np.ndarray, effective: int) -> np.ndarray:
    """(m,) weights of the m nearest, squared distances (N,) ascending, which `effective` equal ones would equal.

    One particle more may lie far beyond the others, whose weights then rise all at once. So the kernel widens towards
    it, without it, as far as need be; only where that is not enough does the particle come in, with the least weight.
    """
    low, high = 1, len(sorted2)
    while low < high:  # the effective number grows with the count of particles inside
        middle = (low + high) // 2
        enough = effective_number(_within(sorted2[:middle], sorted2[middle - 1])) >= effective
        low, high = (low, middle) if enough else (middle + 1, high)
    fewer, edge2 = sorted2[: low - 1], sorted2[low - 1]
    if effective_number(_within(fewer, edge2)) < effective:
        return _within(sorted2[:low], edge2)
    nearest2, farthest2 = fewer[-1], edge2
    for _ in range(HALVINGS):
        middle2 = (nearest2 + farthest2) / 2
        enough = effective_number(_within(fewer, middle2)) >= effective
        nearest2, farthest2 = (nearest2, middle2) if enough else (middle2, farthest2)
    return _within(fewer, farthest2)


def _within(sorted2: np.ndarray, edge2: float) -> np.ndarray:
    """(m,) weights of particles in a kernel which leaves the least of them at the squared distance `edge2`, so that
    equal distances count alike."""
    radius2 = edge2 / (1 - LEAST)
    return np.ones(len(sorted2)) if radius2 <= 0 else 1 - sorted2 / radius2
