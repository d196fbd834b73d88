"""The states of a molecule, where each lies on its motion, and how many particles each has."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..atoms.atomic_model import AtomicModel
from ..errors import ConfigError


@dataclass(frozen=True)
class Ensemble:
    """States in order along a motion, or species of a mixture."""

    states: Sequence[AtomicModel | np.ndarray]
    """Atomic models, or maps `vol[z, y, x]` of the box's size; one kind only."""
    coordinates: np.ndarray
    """(S,) position of each state along the motion (an angle, a fraction of the path), or the number of the species."""
    populations: np.ndarray
    """(S,) relative number of particles of each state."""
    labels: tuple[str, ...] = ()
    """Names of species, where they have any."""

    def __post_init__(self) -> None:
        n = len(self.states)
        if n == 0:
            raise ConfigError("A simulation needs at least one state.")
        if len(self.coordinates) != n or len(self.populations) != n or len(self.labels) not in (0, n):
            raise ConfigError(f"There are {n} states; give as many coordinates, populations and labels.")
        if np.any(np.asarray(self.populations) < 0) or not np.sum(self.populations) > 0:
            raise ConfigError("The populations of the states must not be negative, and one must be positive.")
        if len({isinstance(state, AtomicModel) for state in self.states}) > 1:
            raise ConfigError("The states mix atomic models and maps; give one kind.")

    @property
    def atomic(self) -> bool:
        return isinstance(self.states[0], AtomicModel)

    def most_populated(self) -> "Ensemble":
        """The ensemble of one state alone: that with most particles, and of equals the middle one."""
        populations = np.asarray(self.populations)
        largest = np.flatnonzero(populations == populations.max())
        one = int(largest[len(largest) // 2])
        return Ensemble([self.states[one]], self.coordinates[[one]], np.ones(1), self.labels[one : one + 1])


def equal_parts(states: Sequence, labels: tuple[str, ...] = ()) -> Ensemble:
    """An ensemble whose states are numbered from 0 and equally populated."""
    n = len(states)
    return Ensemble(states, np.arange(n, dtype=float), np.ones(n), labels)


def gaussian_mixture(coordinates: np.ndarray, means: Sequence[float], sd: float) -> np.ndarray:
    """Population of each of S evenly spaced states under equal Gaussians at `means` with standard deviation `sd`.

    Each state takes the probability of its bin; what lies beyond the ends counts for the end states (Zhong's thesis,
    4.4.1).
    """
    from scipy.stats import norm

    inner = (coordinates[1:] + coordinates[:-1]) / 2
    edges = np.concatenate([[-np.inf], inner, [np.inf]])
    return np.mean([np.diff(norm.cdf(edges, mean, sd)) for mean in means], axis=0)


def assign_states(populations: np.ndarray, n_particles: int, rng: np.random.Generator) -> np.ndarray:
    """(n_particles,) state of each particle in random order; counts follow the populations to the nearest particle."""
    share = np.asarray(populations, dtype=float) / np.sum(populations) * n_particles
    counts = np.floor(share).astype(int)
    largest_remainders = np.argsort(counts - share, kind="stable")[: n_particles - counts.sum()]
    counts[largest_remainders] += 1
    return rng.permutation(np.repeat(np.arange(len(counts)), counts))
