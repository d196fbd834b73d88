"""Where the beads of a model lie in each of several maps, and how much of each bead is there.

Places and occupancies maximise a posterior: the fit of blurred beads (`bead_overlap`) over the noise, an elastic
network for places, and for occupancies o the ties of the same network, o_i − o_j ~ N(0, τ²), around what they were in
the neighbouring map. Maps are taken along the minimum spanning tree of their points, each from the places found in the
one before, so that a large motion is followed in small steps; at each the blur falls. A map of particles that are not
alike leads astray what follows after it, so every map is then tried again from its nearest neighbours, and the fit with
the higher posterior stays. A map that lacks something can be
explained by its absence or by bending what is there. Both are tried, occupancies first or places first, and the
explanation with the higher posterior stays.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg

from .bead_overlap import BeadScale, BlurredMap, overlaps
from .elastic import ElasticNetwork

BLURS_ANG, LARGE_ANG = (12.0, 8.0, 5.0), 25.0
"""Standard deviations of the blurs, one after the other, of a molecule of this radius of gyration and larger ones; of a
smaller one they are smaller, or nothing would be left to see."""
STEPS = (4, 3, 2)
"""Gauss-Newton steps at each."""
OCCUPANCY_SPREAD, OCCUPANCY_CHANGE = 0.1, 0.5
"""Standard deviations of occupancies across a tie, and from map to map."""
LARGEST_STEP = 1.0
"""Of a bead, in widths of a blurred bead."""
NEIGHBOURS = 2
"""From which a map is tried again."""
SWEEPS = 3
"""At most; after the first a neighbour is a new start only where it has moved."""
BETTER = 20.0
"""By how much in the logarithm of the posterior a fit from there has to be better."""


@dataclass(frozen=True)
class BeadFit:
    """Places (n, 3) in voxels, occupancies (n,) and what they cost (the negative log-posterior, but for a constant)."""

    places_px: np.ndarray
    occupancy: np.ndarray
    cost: float


class BeadFitter:
    """Fits beads of one model to maps of one noise."""

    def __init__(
        self, weights: np.ndarray, scale: BeadScale, network: ElasticNetwork, noise: float, pixel: float, size_px: float
    ) -> None:
        """weights (n,) electrons; `noise` the power of the maps' noise per voxel; `pixel` its size in Å; `size_px` the
        radius of gyration of the model in voxels."""
        self.mass = scale.amplitude * np.asarray(weights, dtype=np.float64)
        self.scale, self.network, self.noise = scale, network, noise
        self.blurs_px = [max(blur / pixel * min(1.0, size_px * pixel / LARGE_ANG), 1.0) for blur in BLURS_ANG]
        self._laplacian = network.laplacian(len(self.mass)) / OCCUPANCY_SPREAD**2

    def fit(self, volume: np.ndarray, start: BeadFit) -> BeadFit:
        """The better of two explanations of a map (D, D, D), from a start near by."""
        maps = [BlurredMap(volume, self.scale.sigma_px, blur) for blur in self.blurs_px]
        found = []
        for absent_first in (False, True):
            places, occupancy = start.places_px, start.occupancy
            for seen, steps in zip(maps, STEPS, strict=True):
                if absent_first:
                    occupancy = self._occupancies(seen, places, start.occupancy)
                for _ in range(steps):
                    places = self._step(seen, places, occupancy)
                if not absent_first and seen is maps[-1]:
                    occupancy = self._occupancies(seen, places, start.occupancy)
            found.append(BeadFit(places, occupancy, self._cost(maps[-1], places, occupancy, start.occupancy)))
        return min(found, key=lambda fit: fit.cost)

    def _step(self, seen: BlurredMap, places: np.ndarray, occupancy: np.ndarray) -> np.ndarray:
        mass, width = self.mass * occupancy, seen.width_px
        _, slopes = seen(places)
        kernel, apart = overlaps(places, width)
        pairs = mass[:, None] * mass * kernel / self.noise
        gradient = -mass[:, None] * slopes / self.noise - np.einsum("ij,ijx->ix", pairs, apart)
        curvature = -np.einsum("ij,ijx,ijy->ixjy", pairs, apart, apart, optimize=True)
        for axis in range(3):
            curvature[:, axis, :, axis] += pairs / (2 * width**2)
        curvature = curvature.reshape(gradient.size, gradient.size)
        self.network.add_equations(places, curvature, gradient)
        curvature[np.diag_indices(len(curvature))] += 1e-3 * curvature.diagonal().max()
        step = -scipy.linalg.solve(curvature, gradient.ravel(), assume_a="pos").reshape(places.shape)
        length = np.linalg.norm(step, axis=1, keepdims=True)
        return places + step * np.minimum(1, LARGEST_STEP * width / np.maximum(length, 1e-9))

    def _occupancies(self, seen: BlurredMap, places: np.ndarray, before: np.ndarray) -> np.ndarray:
        values, _ = seen(places)
        kernel, _ = overlaps(places, seen.width_px)
        equations = self.mass[:, None] * self.mass * (kernel - seen.box**-3) / self.noise + self._laplacian
        equations[np.diag_indices(len(equations))] += OCCUPANCY_CHANGE**-2
        right = self.mass * values / self.noise + before / OCCUPANCY_CHANGE**2
        return np.clip(scipy.linalg.solve(equations, right, assume_a="sym"), 0.0, 1.0)

    def _cost(self, seen: BlurredMap, places: np.ndarray, occupancy: np.ndarray, before: np.ndarray) -> float:
        mass = self.mass * occupancy
        values, _ = seen(places)
        kernel, _ = overlaps(places, seen.width_px)
        fit = -mass @ values + 0.5 * mass @ (kernel - seen.box**-3) @ mass
        ties = 0.5 * occupancy @ self._laplacian @ occupancy
        changed = 0.5 * np.square((occupancy - before) / OCCUPANCY_CHANGE).sum()
        return float(fit / self.noise + self.network.energy(places) + ties + changed)


def followed(
    fitter: BeadFitter,
    volumes: Sequence[np.ndarray],
    points: np.ndarray,
    start: np.ndarray,
    first: int,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> list[BeadFit]:
    """The beads in every map, in the order of the maps.

    Parameters
    ----------
    volumes : M maps (D, D, D). points (M, P): where they are in a space whose distances say how different they are.
    start : (n, 3) places in voxels, fitted to map `first`.
    """
    fits: dict[int, BeadFit] = {}
    tried: dict[tuple[int, int], BeadFit] = {}
    whole, order = BeadFit(start, np.ones(len(start)), np.inf), spanning_order(points, first)
    for node, before in order:
        if before is not None:
            tried[node, before] = fits[before]
        fits[node] = fitter.fit(volumes[node], whole if before is None else fits[before])
        progress("beads in maps", len(fits), len(volumes))
    near = np.argsort(np.linalg.norm(points[:, None] - points, axis=2), axis=1)
    for sweep in range(1, SWEEPS + 1):
        better = False
        for node, before in order:
            others = [other for other in near[node].tolist() if other not in (node, before)][:NEIGHBOURS]
            starts = others if before is None else [before, *others]
            better |= _is_better_from(starts, fitter, volumes[node], node, fits, tried)
        progress("beads in maps, again", sweep, SWEEPS)
        if not better:
            break
    return [fits[node] for node in range(len(volumes))]


def _is_better_from(
    starts: list[int],
    fitter: BeadFitter,
    volume: np.ndarray,
    node: int,
    fits: dict[int, BeadFit],
    tried: dict[tuple[int, int], BeadFit],
) -> bool:
    """Fit a map from the fits of other maps that it was not fitted from yet; whether one is better, which then is in
    `fits`."""
    was = fits[node]
    for other in starts:
        if tried.get((node, other)) is fits[other]:
            continue
        tried[node, other] = fits[other]
        again = fitter.fit(volume, fits[other])
        if again.cost < fits[node].cost - BETTER:
            fits[node] = again
    return fits[node] is not was


def gyration_px(places_px: np.ndarray, weights: np.ndarray) -> float:
    """Radius of gyration of beads at (n, 3) places of weights (n,)."""
    away = places_px - np.average(places_px, axis=0, weights=weights)
    return float(np.sqrt(np.average(np.square(away).sum(axis=1), weights=weights)))


def spanning_order(points: np.ndarray, first: int) -> list[tuple[int, int | None]]:
    """Points (M, P) as a minimum spanning tree from `first` reaches them, each with the one that it is reached from."""
    distance = np.linalg.norm(points[:, None] - points, axis=2)
    order: list[tuple[int, int | None]] = [(first, None)]
    reached = [first]
    while len(reached) < len(points):
        rest = [node for node in range(len(points)) if node not in reached]
        steps = distance[np.ix_(rest, reached)]
        to, source = np.unravel_index(np.argmin(steps), steps.shape)
        order.append((rest[to], reached[source]))
        reached.append(rest[to])
    return order
