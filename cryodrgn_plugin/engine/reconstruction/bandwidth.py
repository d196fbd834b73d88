"""How many particles a regression's map should rest on, by cross-validation on half-sets.

Few particles leave noise, many leave blur. Maps of each size are held against the half-maps of the fewest particles
that still show the molecule: those are noisy and hardly blurred, and the noise of one half is foreign to the other
(`expectation`; the target of RECOVAR, Gilles and Singer 2023). The size whose maps are expected to agree best with the
truth is taken, one for all states.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .expectation import Expectation, expected_fsc
from .kernel import kernel_at
from .regression import Regression

FEWEST, MOST = 100, 6400
"""Effective numbers of particles between which sizes are tried, each twice the one before."""
SHOWS_ENOUGH = 0.9
"""Share of the band that the largest size shows, which the reference must show as well."""
STATES_TRIED = 4
"""States at which sizes are compared, spread over those asked for."""


@dataclass(frozen=True)
class Bandwidths:
    """`reference`: the fewest particles that show the molecule. `best`: those of the maps closest to the truth.

    `expected` maps each size that was tried to the mean FSC with the truth that is expected of it.
    """

    reference: int
    best: int
    expected: dict[int, float]


def choose_bandwidths(
    regression: Regression,
    positions: np.ndarray,
    centres: np.ndarray,
    mask_of: Callable[[np.ndarray], np.ndarray],
    seed: int,
    report: Callable[[int, int], None],
) -> Bandwidths:
    """Compare sizes at some of the states.

    Parameters
    ----------
    positions : (N, P) of the particles; centres (S, P) of the states.
    mask_of : map (D, D, D) → the soft mask around it.
    report : told (steps done, steps in all).
    """
    sizes = sizes_for(len(positions))
    tried = np.unique(np.linspace(0, len(centres) - 1, min(STATES_TRIED, len(centres))).round().astype(int))
    scores, reach = np.zeros((len(tried), len(sizes))), np.zeros((len(tried), len(sizes)))
    for row, centre in enumerate(centres[tried]):
        halves = []
        for size in sizes:
            halves.append(regression.maps(kernel_at(positions, centre, size, seed)).halves)
            report(row * len(sizes) + len(halves), len(tried) * len(sizes))
        mask = mask_of(sum(halves[-1]) / 2)
        against_itself = [expected_fsc(maps, maps, mask) for maps in halves]
        reach[row] = [own.measured_to for own in against_itself]
        reference = halves[_fewest(reach[row])]
        scores[row] = [_area(expected_fsc(maps, reference, mask)) for maps in halves]
    mean = scores.mean(0)
    expected = {size: round(float(value), 5) for size, value in zip(sizes, mean, strict=True)}
    return Bandwidths(sizes[_fewest(np.median(reach, axis=0))], sizes[int(np.argmax(mean))], expected)


def sizes_for(count: int) -> list[int]:
    """The sizes to try among `count` particles: doubling, up to half of them."""
    most = max(min(MOST, count // 2), 1)
    return [size for k in range(12) if (size := FEWEST * 2**k) <= most] or [most]


def _fewest(reach: np.ndarray) -> int:
    """Number of the first size that shows nearly the band that the widest-reaching one shows."""
    return int(np.argmax(reach >= SHOWS_ENOUGH * reach.max()))


def _area(expected: Expectation) -> float:
    return float(expected.fsc[1:-1].mean())
