"""Figures of a trajectory: the path on the latents, how full of particles it is, and its maps."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from ..analysis.analysis_parts import MadeSeries
from ..analysis.embed import Pca
from ..analysis.figure_style import FAINT, GREY, INK, figure, in_order_colours
from ..report_writer import Report
from .landscape_figures import draw_maps
from .paths import PathFound

CROWD = 20
"""The distance to the 20th nearest particle says how empty a place is."""
MOST_SHOWN = 40_000


@dataclass(frozen=True)
class Plane:
    """The two first principal components of the latents; a single one is drawn against nothing."""

    positions: np.ndarray
    """(N, 2)."""
    names: tuple[str, str]
    mean: np.ndarray
    axes: np.ndarray

    @classmethod
    def of(cls, pca: Pca, z: np.ndarray) -> "Plane":
        """The plane of latents z (N, Z)."""
        names = [f"PC{k + 1} of z ({share:.0%})" for k, share in enumerate(pca.explained[:2])]
        axes = pca.axes[:2] if len(pca.axes) > 1 else np.concatenate([pca.axes, np.zeros_like(pca.axes)])
        return cls((z - pca.mean) @ axes.T, (names[0], names[1] if len(names) > 1 else ""), pca.mean, axes)

    def of_points(self, z: np.ndarray) -> np.ndarray:
        """(n, 2) places of z (n, Z)."""
        return (z - self.mean) @ self.axes.T


def draw_all(
    plane: Plane, path: PathFound, z: np.ndarray, all_z: np.ndarray, made_series: MadeSeries | None, out: Report
) -> None:
    """Draw what there is data for."""
    path_figure(out.figure("path"), plane, path, z, all_z)
    if made_series is not None:
        draw_maps([made_series], out)


def path_figure(file: Path, plane: Plane, path: PathFound, z: np.ndarray, all_z: np.ndarray) -> None:
    """The path among the particles, and how far from particles each of its maps is."""
    with figure(file, 9.6, 4.2) as page:
        left, right = page.subplots(1, 2, width_ratios=[1.2, 1])
        _draw_path(left, plane, path, z)
        _draw_support(right, z, all_z)


def _draw_path(ax: Axes, plane: Plane, path: PathFound, z: np.ndarray) -> None:
    shown = np.random.default_rng(0).permutation(len(plane.positions))[:MOST_SHOWN]
    ax.scatter(*plane.positions[shown].T, s=2, color="#c8c8c8", linewidths=0, rasterized=True)
    ax.plot(*plane.of_points(path.nodes).T, color=INK, lw=0.8)
    ax.scatter(*plane.of_points(z).T, c=in_order_colours(len(z)), s=26, zorder=3, edgecolors="white", linewidths=0.5)
    if len(path.anchors):
        ax.scatter(*plane.positions[path.anchors].T, s=90, facecolors="none", edgecolors="#D55E00", zorder=4)
    ax.set(title="path (ringed: anchors)", xlabel=plane.names[0], ylabel=plane.names[1])
    ax.locator_params(nbins=6)


def _draw_support(ax: Axes, z: np.ndarray, all_z: np.ndarray) -> None:
    """Distance to particles along the path beside what is usual among particles: high where a map is made of air."""
    from scipy.spatial import cKDTree

    k = min(CROWD, len(all_z) - 1)
    tree = cKDTree(all_z)
    distance = tree.query(z, k)[0].reshape(len(z), -1)[:, -1]
    some = all_z[np.random.default_rng(0).permutation(len(all_z))[:2000]]
    usual = np.percentile(tree.query(some, k)[0].reshape(len(some), -1)[:, -1], (5, 50, 95))
    steps = np.arange(1, len(z) + 1)
    ax.axhspan(usual[0], usual[2], color=FAINT, lw=0, label="90 % of the particles")
    ax.axhline(usual[1], color=GREY, lw=1)
    ax.plot(steps, distance, color=GREY, lw=0.8)
    ax.scatter(steps, distance, c=in_order_colours(len(z)), s=22, zorder=3)
    ax.set(title="how far from particles each map is", xlabel="map", ylabel=f"distance in z to {k} particles")
    ax.set_ylim(bottom=0)
    ax.legend(loc="best")
