"""Paths through the latent space: where they go, and points evenly spaced along them."""

from dataclasses import dataclass

import numpy as np

from ..analysis.embed import Pca, principal_components
from ..analysis.latent_points import particles_at, read_points
from ..analysis.series import PERCENTILES
from ..errors import ConfigError, DataError
from ..latents import Latents
from .graph import graph_way
from .landscape_options import TrajectoryOptions
from .representatives import drawn

SMOOTHED = 25
"""Particles whose mean a point of a density path is: one particle's latent carries its own noise."""

MOST_COMPARED = 2000
"""Particles among which an end of a component is chosen."""


@dataclass(frozen=True)
class PathFound:
    """A way through the latent space."""

    nodes: np.ndarray
    """(m, Z) corners of the way, in order."""
    particles: np.ndarray | None
    """(m,) index of the particle at each corner, where corners are particles."""
    anchors: np.ndarray
    """(A,) indices of the particles that it joins; empty where it joins none."""
    bridges: int = 0
    """Steps across gaps, between groups that the graph of neighbours does not join."""


def find_path(latents: Latents, options: TrajectoryOptions, space: np.ndarray | None = None) -> PathFound:
    """The way that `options` ask for; `space` (N, P) is where distances are measured, z unless given.

    Raises
    ------
    ConfigError, DataError : no such component, anchor or file; fewer than two anchors.
    """
    pca = principal_components(latents.z)
    if options.component > len(pca.axes):
        raise ConfigError(f"component is {options.component}, but the latent space has {len(pca.axes)}.")
    if options.kind == "pc":
        return PathFound(_component_ends(pca, options.component - 1), None, np.zeros(0, np.int64))
    if options.kind == "points":
        nodes = read_points(options.points, latents.z.shape[1])
        if len(nodes) < 2:
            raise DataError(f"{options.points} holds one point; a trajectory needs two.")
        return PathFound(nodes, None, np.zeros(0, np.int64))
    anchors = anchors_of(latents, options.anchors, pca, options.component - 1)
    if options.kind == "direct":
        return PathFound(latents.z[anchors], anchors, anchors)
    return _through_particles(latents.z, latents.z if space is None else space, anchors, options)


def anchors_of(latents: Latents, words: str, pca: Pca, component: int) -> np.ndarray:
    """Indices of the particles at the star rows in `words`; without words the ends of a component."""
    if not words:
        return _ends_among_particles(latents.z, pca.scores[:, component])
    chosen = particles_at(latents, words, "this run")
    if len(chosen) < 2 or (np.diff(chosen) == 0).any():
        raise ConfigError(f"anchors is {words!r}; a trajectory joins at least two particles, each with a next one.")
    return chosen.astype(np.int64)


def evenly(nodes: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """`steps` points (n, Z) evenly spaced along the corners `nodes` (m, Z), and their lengths from the start (n,)."""
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(nodes, axis=0), axis=1))])
    if along[-1] == 0:
        raise DataError("The path has no length: all its points are the same.")
    wanted = np.linspace(0, along[-1], steps)
    return np.stack([np.interp(wanted, along, column) for column in nodes.T], 1).astype(np.float32), wanted


def _ends_among_particles(z: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(2,) of the particles near the two end percentiles of a component, the one most amid others."""
    from scipy.spatial import cKDTree

    tree, width = cKDTree(z), max(len(z) // 100, 1)
    order, ends = np.argsort(scores, kind="stable"), []
    for percent in PERCENTILES:
        middle = round(percent / 100 * (len(z) - 1))
        near = order[max(middle - width, 0) : middle + width + 1][:MOST_COMPARED]
        distances = tree.query(z[near], min(SMOOTHED, len(z)))[0].reshape(len(near), -1)
        ends.append(near[np.argmin(distances[:, -1])])
    return np.array(ends, np.int64)


def _component_ends(pca: Pca, component: int) -> np.ndarray:
    scores = np.percentile(pca.scores[:, component], PERCENTILES)
    return (pca.mean + scores[:, None] * pca.axes[component]).astype(np.float32)


def _through_particles(z: np.ndarray, space: np.ndarray, anchors: np.ndarray, options: TrajectoryOptions) -> PathFound:
    """From particle to particle, in the graph of at most `limit` of them."""
    part = drawn(len(z), options.limit, options.seed, always=np.unique(anchors))
    points = space[part].astype(np.float64)
    by_density = options.kind == "density"
    # `part` is sorted and holds the anchors, so a search gives their positions in it.
    way = graph_way(points, np.searchsorted(part, anchors), options.neighbors, by_density, options.seed)
    particles = part[way.particles]
    nodes = _smoothed(points, z[part], way.particles) if by_density else z[particles]
    return PathFound(nodes, particles, anchors, way.bridges)


def _smoothed(points: np.ndarray, z: np.ndarray, path: np.ndarray) -> np.ndarray:
    """Mean latents of the particles around each one on the way."""
    from scipy.spatial import cKDTree

    around = cKDTree(points).query(points[path], min(SMOOTHED, len(points)))[1]
    return z[around.reshape(len(path), -1)].mean(axis=1)
