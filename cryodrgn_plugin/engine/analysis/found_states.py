"""The separate states that a training found, as classes of its particles.

Where images speak for a few separate states, the training keeps how far each particle belongs to each of them. The
class of a particle is the state that is most probable for it, and that probability stays with it. What else is known of
a particle is then an average over states, z_i = Σ_m p_im z_m: where states overlap no particle lies at one of them, and
the mean of those of one class leans towards the others. `at_states` solves for the z_m themselves.
"""

from dataclasses import dataclass

import numpy as np

from ..latents import Latents
from .latent_clusters import Clusters, in_order

TOLD_APART = 1e-6
"""Least share of what tells the best known mixture of states that another one must have to be solved for."""


@dataclass(frozen=True)
class FoundStates:
    """S separate states of N particles, numbered along the curve as classes are; species keep the numbers they have."""

    posterior: np.ndarray
    """(N, S) float64: how far each particle belongs to each state; rows sum to 1."""
    passed_over: int
    """States that are most probable for no particle; theirs is shared out among the others."""

    @property
    def count(self) -> int:
        return self.posterior.shape[1]

    @property
    def labels(self) -> np.ndarray:
        """(N,) int32, the most probable state of each particle, from 0."""
        return self.posterior.argmax(axis=1).astype(np.int32)


def found_states(latents: Latents) -> FoundStates | None:
    """The separate states of a training; None where it found none, or but one that particles are in."""
    if latents.states is None:
        return None
    posterior = latents.states.astype(np.float64)
    present, labels = np.unique(posterior.argmax(axis=1), return_inverse=True)
    if len(present) < 2:
        return None
    labels = labels.reshape(-1)
    posterior = posterior[:, present[_numbers(latents, labels, len(present))]]
    return FoundStates(posterior / posterior.sum(axis=1, keepdims=True), latents.states.shape[1] - len(present))


def _numbers(latents: Latents, labels: np.ndarray, count: int) -> np.ndarray:
    """(S,) old numbers of the states with `labels` (N,), in their new order."""
    if np.array_equal(latents.z, latents.states):  # species that were told apart, whose numbers are in poses.star
        return np.arange(count)
    means = np.stack([latents.z[labels == m].mean(axis=0) for m in range(count)])
    return in_order(labels, means, latents.coordinate)


def state_classes(z: np.ndarray, found: FoundStates) -> Clusters:
    """The states as classes of particles at z (N, Z): maps are made at the states themselves, and the centre of each is
    the particle of its own that lies nearest."""
    labels, points = found.labels, at_states(found.posterior, z)
    centres = nearest_members(z, labels, points)
    return Clusters(labels, centres, points.astype(z.dtype), found.posterior.astype(np.float32))


def at_states(posterior: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(S, P) of the states themselves, from values (N, P) of particles that are averages over states.

    Least squares: values ≈ posterior (N, S) @ result. Of states that no particle tells apart it gives what they share.
    """
    posterior = posterior.astype(np.float64)
    told = np.linalg.pinv(posterior.T @ posterior, rcond=TOLD_APART, hermitian=True)
    return told @ (posterior.T @ values.astype(np.float64))


def posterior_arrays(posterior: np.ndarray | None) -> dict[str, np.ndarray]:
    """What is kept of each particle beside its class: its probability, and those of all classes (N, k)."""
    if posterior is None:
        return {}
    return {"class_probability": posterior.max(axis=1), "class_posterior": posterior}


def nearest_members(positions: np.ndarray, labels: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(k,) int64: of the particles at `positions` (N, P) with each label (N,) the one nearest to its point (k, P)."""
    members = [np.flatnonzero(labels == c) for c in range(len(points))]
    distances = [((positions[own] - point) ** 2).sum(axis=1) for own, point in zip(members, points, strict=True)]
    return np.array([own[np.argmin(far)] for own, far in zip(members, distances, strict=True)], np.int64)
