"""How many rigid parts there are: as many as explain maps of particles that the parts were not fitted to.

Parts are laid into the maps of one half of the particles and judged in those of the other. Of the numbers whose mean gain
over the maps is within one standard error of the best, the smallest is taken. Without half-maps the maps judge themselves, at
the price of Schwarz's criterion.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .node_maps import NodeMaps
from .part_poses import PartFitter, PartPoses

STANDARD_ERRORS = 1.0


@dataclass(frozen=True)
class PartNumber:
    """`gain` (k,) in log-likelihood per map of each candidate over the first, its standard error `error` (k,), and which
    candidate is taken."""

    gain: np.ndarray
    error: np.ndarray
    chosen: int


def chosen_number(
    fitters: Sequence[PartFitter], starts: Sequence[Sequence[PartPoses]], maps: NodeMaps, most: int = 12
) -> PartNumber:
    """Compare candidates, each a fitter with its starts in every map.

    Parameters
    ----------
    most : maps that they are compared in; of more, that many are taken evenly.
    """
    nodes = np.unique(np.linspace(0, len(maps.z) - 1, min(most, len(maps.z))).round().astype(int))
    costs = np.array([[_cost(fitter, ones[node], maps, node) for node in nodes] for fitter, ones in zip(fitters, starts, strict=True)])
    gains = costs[0] - costs
    weight = maps.share[nodes] / maps.share[nodes].sum()
    gain = gains @ weight
    best = int(np.argmax(gain))
    short = gains[best] - gains
    spread = np.sqrt(np.square(short - (short @ weight)[:, None]) @ weight**2)
    enough = np.flatnonzero(short @ weight <= STANDARD_ERRORS * spread)
    return PartNumber(gain, spread, int(enough[0]))


def _cost(fitter: PartFitter, start: PartPoses, maps: NodeMaps, node: int) -> float:
    if maps.halves is None:
        price = 0.5 * 7 * fitter.count * np.log(len(fitter.labels))
        return fitter.fit(maps.volumes[node], start).cost + price
    one, other = maps.halves[:, node]
    return (
        fitter.cost_in(other, fitter.fit(one, start)) + fitter.cost_in(one, fitter.fit(other, start))
    ) / 2
