"""Do other runs of the same particles, of other seeds or other decoders, say the same?"""

from dataclasses import dataclass

import numpy as np

from ..analysis.latent_clusters import kmeans
from ..analysis.run_particles import particles_of
from ..data.copies import repeated
from ..errors import DataError
from ..io.chosen_rows import particle_of_image
from ..run import Run
from .agreement import agreement

AGREES, PARTLY = 0.9, 0.5
"""Canonical correlations of the best direction above which another run agrees, or agrees in part."""


@dataclass(frozen=True)
class Consensus:
    """One other run beside the one that is validated, on the particles of both."""

    run: str
    recipe: str
    particles: int
    correlation: np.ndarray
    """(K,) canonical correlations of the two latent spaces."""
    chance: float
    shared: int
    """Directions that correlate better than chance."""
    same_classes: float
    """Adjusted Rand index of k-means classes made in each: 1 the same, 0 chance."""

    @property
    def words(self) -> str:
        """agrees, agrees in part or disagrees."""
        best = self.correlation[0] if self.shared else 0.0
        return "agrees" if best >= AGREES else "agrees in part" if best >= PARTLY else "disagrees"


def consensus(run: Run, other: Run, n_classes: int, seed: int) -> Consensus:
    """Compare the latents of two runs. Raises DataError when they are of different particles."""
    ours, theirs = run.latents(), other.latents()
    _, mine, others = np.intersect1d(ours.rows, theirs.rows, assume_unique=True, return_indices=True)
    particles, their_particles = particles_of(run), particles_of(other)
    names, their_names = (part.frame["rlnImageName"].to_numpy() for part in (particles, their_particles))
    if len(mine) < 10 or (names[mine] != their_names[others]).any():
        raise DataError(f"{other.path} was not made from the particles of {run.path}; give a run of the same file.")
    a, b = ours.z[mine], theirs.z[others]
    one_image = ~repeated(particle_of_image(particles.table)[particles.lines][mine])
    agreed = agreement(a, b, seed, distinct=np.flatnonzero(one_image))
    return Consensus(
        str(other.path), other.config.recipe, int(one_image.sum()), agreed.correlation, agreed.chance, agreed.shared,
        _same_classes(a, b, n_classes, seed),
    )  # fmt: skip


def _same_classes(a: np.ndarray, b: np.ndarray, k: int, seed: int) -> float:
    from sklearn.metrics import adjusted_rand_score

    labels = [kmeans(z, k, seed=seed).labels for z in (a, b)]
    return float(adjusted_rand_score(*labels))
