"""Which points of the latent space are states: those named by the user, the separate states that training found, or the
centres of k-means clusters."""

import numpy as np

from ..analysis.analysis_options import CLUSTERS
from ..analysis.classes import classes_of, grouping, separate_states
from ..analysis.latent_clusters import fewer_than_asked
from ..analysis.latent_points import particles_at, read_points
from ..analysis.series import Series
from ..errors import DataError
from ..latents import Latents
from .state_options import USUAL_STATES, StatesOptions


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
    classes = classes_of(latents, options.states, USUAL_STATES, options.group_by, options.seed)
    return _series(classes.points, [f"state {k + 1}" for k in range(len(classes.points))], classes.centres)


def about_choice(latents: Latents, options: StatesOptions, count: int) -> dict[str, str]:
    """What the index says of how `count` states were chosen, and why; nothing where the user named them."""
    if options.points or options.particles:
        return {}
    by_states = separate_states(latents, options.states, options.group_by) is not None
    return grouping(latents, by_states, f"{count} states", "at the centres of k-means clusters of the latents")


def about_number(chosen: dict[str, str], count: int, options: StatesOptions) -> list[str]:
    """That there are fewer states than were asked for, where they are clusters."""
    clusters = chosen.get("grouped_by") == CLUSTERS
    fewer = fewer_than_asked(count, options.states or USUAL_STATES) if clusters else ""
    return [f"States are of {fewer}"] if fewer else []


def _series(z: np.ndarray, labels: list[str], particles: np.ndarray | None) -> Series:
    return Series("states", "states", z, tuple(labels), np.arange(1.0, len(z) + 1), particles)
