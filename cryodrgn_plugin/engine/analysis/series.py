"""Which maps are worth making: one per class, a walk along each principal component, one along the curve."""

from dataclasses import dataclass

import numpy as np

from ..result_kinds import CLASS_SERIES, CONSENSUS_SERIES, CURVE_SERIES, STATE_SERIES
from .embed import Pca
from .latent_clusters import Clusters

PERCENTILES = (5.0, 95.0)
"""Ends of a walk along a principal component or the curve: beyond them lie too few particles to support a map."""


@dataclass(frozen=True)
class Series:
    """An ordered set of points in the latent space, to be made into maps vol_000.mrc, vol_001.mrc, …"""

    name: str
    """Folder name: kmeans, states, pc1, …, curve, consensus."""
    title: str
    """For people."""
    z: np.ndarray
    """(n, Z) latent coordinates."""
    labels: tuple[str, ...]
    """n short names, shown above each map."""
    positions: np.ndarray
    """(n,) what orders the series: class number, score along the component, position along the curve."""
    particles: np.ndarray | None = None
    """(n,) index of the particle at each point, where the points are particles, or nearest to it."""


def class_series(clusters: Clusters) -> Series:
    """A point per class: the particle at the centre of each cluster, or each separate state itself."""
    number = np.arange(1, len(clusters.centres) + 1)
    labels = tuple(f"class {c}" for c in number)
    name, title = (
        (CLASS_SERIES, "k-means centres") if clusters.posterior is None else (STATE_SERIES, "of separate states")
    )
    return Series(name, title, clusters.points, labels, number.astype(float), clusters.centres)


def component_series(pca: Pca, component: int, steps: int) -> Series:
    """`steps` points along principal component `component` (from 0) through the mean, 5th to 95th percentile."""
    scores = np.linspace(*np.percentile(pca.scores[:, component], PERCENTILES), steps)
    z = pca.mean + scores[:, None] * pca.axes[component]
    name = f"PC{component + 1}"
    labels = tuple(f"{name} = {score:.2g}" for score in scores)
    return Series(name.lower(), f"along {name}", z.astype(np.float32), labels, scores)


def curve_series(z: np.ndarray, coordinate: np.ndarray, steps: int) -> Series:
    """The particles nearest to `steps` evenly spaced quantiles of the coordinate along the curve that was found.

    Of the particles near each quantile the one most like its neighbours is taken: the nearest to their mean z.
    """
    order = np.argsort(coordinate, kind="stable")
    near = max(len(z) // (4 * steps), 1)
    chosen = []
    for percent in np.linspace(*PERCENTILES, steps):
        middle = round(percent / 100 * (len(z) - 1))
        index = order[max(middle - near // 2, 0) : middle + near // 2 + 1]
        chosen.append(index[np.argmin(((z[index] - z[index].mean(axis=0)) ** 2).sum(axis=1))])
    particles = np.array(chosen, np.int64)
    labels = tuple(f"t = {value:.2f}" for value in coordinate[particles])
    return Series(CURVE_SERIES, "along the curve", z[particles], labels, coordinate[particles].astype(float), particles)


def consensus_series() -> Series:
    """The one map of a homogeneous run."""
    return Series(CONSENSUS_SERIES, "the map", np.zeros((1, 0), np.float32), ("consensus",), np.zeros(1))
