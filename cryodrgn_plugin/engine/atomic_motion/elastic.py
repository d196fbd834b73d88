"""An elastic network of beads: what a molecule that bends costs, whichever way it is turned.

Beads nearer than a cutoff in the model are tied; a tie that is δ longer or shorter than in the model costs ½ log(1 +
(δ/δ₀)²) (δ₀/τ)², which is ½ δ²/τ² as long as δ is small and hardly grows where parts come apart. Neighbours in a chain
stay tied: their δ₀ is larger. (Tirion 1996 has the network without the break.)
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

SPREAD_ANG = 0.7
"""τ: by how much the length of a tie varies."""
BREAKS_ANG, CHAIN_BREAKS_ANG = 0.8, 6.0
"""δ₀ of ties across space and along a chain."""
CHAIN_STEPS = 3
"""Beads of a chain that are tied along it."""
NEIGHBOURS = 14
"""Ties of a bead in the middle of a molecule, about; they set the cutoff."""


@dataclass(frozen=True)
class ElasticNetwork:
    """`pairs` (m, 2) of beads, their distance in the model `rest_px` (m,), and τ and δ₀ (m,) in voxels."""

    pairs: np.ndarray
    rest_px: np.ndarray
    spread_px: float
    breaks_px: np.ndarray

    @classmethod
    def of(cls, places_px: np.ndarray, chain: np.ndarray, pixel_size_ang: float) -> "ElasticNetwork":
        """The network of beads at (n, 3) places in the order of their chains (n,)."""
        tree, count = cKDTree(places_px), len(places_px)
        reach = np.median(tree.query(places_px, min(NEIGHBOURS, count))[0][:, -1]) if count > 2 else np.inf
        near = {tuple(pair) for pair in tree.query_pairs(reach)}
        along = {(i, i + s) for s in range(1, CHAIN_STEPS + 1) for i in range(count - s) if chain[i] == chain[i + s]}
        pairs = np.array(sorted(near | along), dtype=int).reshape(-1, 2)
        in_chain = np.array([tuple(pair) in along for pair in pairs], dtype=bool)
        rest = np.linalg.norm(places_px[pairs[:, 0]] - places_px[pairs[:, 1]], axis=1)
        breaks = np.where(in_chain, CHAIN_BREAKS_ANG, BREAKS_ANG) / pixel_size_ang
        return cls(pairs, rest, SPREAD_ANG / pixel_size_ang, breaks)

    def energy(self, places_px: np.ndarray) -> float:
        """What the beads at (n, 3) places cost, in units of the logarithm of a likelihood."""
        stretch, _ = self._stretched(places_px)
        ratio = (stretch / self.breaks_px) ** 2
        return float((0.5 * (self.breaks_px / self.spread_px) ** 2 * np.log1p(ratio)).sum())

    def add_equations(self, places_px: np.ndarray, curvature: np.ndarray, gradient: np.ndarray) -> None:
        """Add the Gauss-Newton curvature (3n, 3n) and the gradient (n, 3) at (n, 3) places, in place."""
        stretch, along = self._stretched(places_px)
        stiff = 1 / (1 + (stretch / self.breaks_px) ** 2) / self.spread_px**2
        force = (stiff * stretch)[:, None] * along
        first, second = self.pairs.T
        np.add.at(gradient, first, force)
        np.subtract.at(gradient, second, force)
        blocks = stiff[:, None, None] * along[:, :, None] * along[:, None, :]
        view = curvature.reshape(len(places_px), 3, len(places_px), 3)
        for one, other, sign in ((first, first, 1), (second, second, 1), (first, second, -1), (second, first, -1)):
            np.add.at(view, (one, slice(None), other), sign * blocks)

    def laplacian(self, count: int) -> np.ndarray:
        """(n, n) of the graph, each tie counting as one."""
        matrix = np.zeros((count, count))
        first, second = self.pairs.T
        np.add.at(matrix, (first, second), -1.0)
        matrix += matrix.T
        matrix[np.diag_indices(count)] = -matrix.sum(axis=1)
        return matrix

    def _stretched(self, places_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """By how much ties are longer (m,) than in the model, and the way from the second to the first bead (m, 3)."""
        apart = places_px[self.pairs[:, 0]] - places_px[self.pairs[:, 1]]
        length = np.maximum(np.linalg.norm(apart, axis=1), 1e-9)
        return length - self.rest_px, apart / length[:, None]
