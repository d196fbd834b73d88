"""How many rigid parts there are: as many as explain maps of particles that the parts were not fitted to.

Parts are laid into the maps of one half of the particles and judged in those of the other. Of the numbers whose mean
gain over the maps is within one standard error of the best, or falls short of it by a hundredth of all that is gained,
the smallest is taken. Without half-maps the maps judge themselves, at the price of Schwarz's criterion.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .node_maps import NodeMaps
from .part_poses import PartFitter, PartPoses

STANDARD_ERRORS, LEAST_SHARE = 1.0, 0.01
"""A smaller number may fall short of the best by so many standard errors, or by this share of what the best gains."""

NUMBERS = 7
"""Of a part in a map: turn, move and occupancy."""


@dataclass(frozen=True)
class PartNumber:
    """`gain` (k,) in log-likelihood per map of each candidate over the first, its standard error `error` (k,), and
    which candidate is taken."""

    gain: np.ndarray
    error: np.ndarray
    chosen: int


def chosen_number(
    fitters: Sequence[PartFitter],
    starts: Sequence[Sequence[PartPoses]],
    maps: NodeMaps,
    most: int = 6,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> PartNumber:
    """Compare candidates, each a fitter with its starts in every map.

    Parameters
    ----------
    most : maps that they are compared in; of more, that many are taken evenly.
    """
    nodes = np.unique(np.linspace(0, len(maps.z) - 1, min(most, len(maps.z))).round().astype(int))
    costs = np.empty((len(fitters), len(nodes)))
    for candidate, (fitter, ones) in enumerate(zip(fitters, starts, strict=True)):
        costs[candidate] = [_cost(fitter, ones[node], maps, node) for node in nodes]
        progress("number of parts", candidate + 1, len(fitters))
    gains, weight = costs[0] - costs, maps.share[nodes] / maps.share[nodes].sum()
    gain = gains @ weight
    short = gains[np.argmax(gain)] - gains
    spread = np.sqrt(np.square(short - (short @ weight)[:, None]) @ weight**2)
    enough = short @ weight <= np.maximum(STANDARD_ERRORS * spread, LEAST_SHARE * gain.max())
    # The shortfall of one part varies as motions do, which says nothing of noise: it has Schwarz's criterion.
    enough[0] = gain.max() <= 0.5 * NUMBERS * np.log(len(fitters[0].labels))
    return PartNumber(gain, spread, int(np.flatnonzero(enough)[0]))


def _cost(fitter: PartFitter, start: PartPoses, maps: NodeMaps, node: int) -> float:
    if maps.halves is None:
        price = 0.5 * NUMBERS * fitter.count * np.log(len(fitter.labels))
        return fitter.fit(maps.volumes[node], start).cost + price
    one, other = maps.halves[:, node]
    return (
        fitter.cost_in(other, fitter.fit(one, start, near=True))
        + fitter.cost_in(one, fitter.fit(other, start, near=True))
    ) / 2
