"""Which points of the latent space are states: those named by the user, or the centres of k-means clusters."""

import numpy as np

from ..analysis.latent_clusters import kmeans
from ..analysis.latent_points import particles_at, read_points
from ..analysis.series import Series
from ..errors import DataError
from ..latents import Latents
from .state_options import StatesOptions


def chosen_states(latents: Latents, options: StatesOptions, where: str) -> Series:
    """The states as a series of points; `where` names the run in messages.

    Raises
    ------
    DataError : the run has no latent space, a particle is not in it, or a file of points cannot be used.
    """
    z = latents.z
    if not z.shape[1]:
        raise DataError(f"{where} has one map and no latent space; `analyze` gives that map with its half-maps.")
    if options.points:
        points = read_points(options.points, z.shape[1])
        return _series(points, [f"point {k + 1}" for k in range(len(points))], None)
    if options.particles:
        index = particles_at(latents, options.particles, where)
        return _series(z[index], [f"particle {latents.rows[i]}" for i in index], index)
    centres = kmeans(z, options.states, seed=options.seed, along=latents.coordinate).centres
    return _series(z[centres], [f"state {k + 1}" for k in range(len(centres))], centres)


def _series(z: np.ndarray, labels: list[str], particles: np.ndarray | None) -> Series:
    return Series("states", "states", z, tuple(labels), np.arange(1.0, len(z) + 1), particles)
