"""What can be said of the map of a state: agreement of its halves, with the truth, locally, and its sharpened form."""

from dataclasses import dataclass

import numpy as np

from ..analysis.volumes import HalfAgreement, half_agreement
from ..reconstruction.expectation import Expectation, expected_from_halves, expected_fsc, resolution_with_truth
from ..reconstruction.fsc import fsc
from ..reconstruction.masks import mask_from_map
from ..reconstruction.view_gaps import ViewGaps
from .local_resolution import local_resolution
from .making import StateMaps
from .sharpening import Guinier, guinier, sharpened
from .state_options import StatesOptions


@dataclass(frozen=True)
class Judgement:
    """Everything about one map; what needs half-maps is None without them."""

    mask: np.ndarray
    whole: HalfAgreement | None = None
    moving: HalfAgreement | None = None
    by_halves: np.ndarray | None = None
    """(D//2 + 1,) the FSC with the truth as half-maps alone would have it, √(2F/(1 + F))."""
    expected: Expectation | None = None
    """The same with what half-maps share wrongly taken off; None where that was not measured."""
    moving_expected: Expectation | None = None
    """`expected` in the moving region, where half-maps mislead most."""
    resolution_ang: float | None = None
    """Where the best that is known for the whole map, `expected` or `by_halves`, falls below 0.5."""
    moving_resolution_ang: float | None = None
    """Where `moving_expected` does."""
    local_ang: np.ndarray | None = None
    """(D, D, D) local resolution in Å."""
    sharp: np.ndarray | None = None
    guinier: Guinier | None = None
    b_factor_ang2: float | None = None
    """What was taken off, the user's or Guinier's."""
    lowpass_ang: float | None = None


def judge(
    maps: StateMaps,
    pixel_size_ang: float,
    options: StatesOptions,
    *,
    mask: np.ndarray | None = None,
    moving_region: np.ndarray | None = None,
    reference: tuple[np.ndarray, np.ndarray] | None = None,
    views: ViewGaps | None = None,
) -> Judgement:
    """Judge one map.

    Parameters
    ----------
    mask : (D, D, D) soft mask; None makes one around the map.
    moving_region : (D, D, D) soft mask of where the states differ.
    reference : prior-free half-maps of the same state (`expectation`), or None.
    views : of the particles, for resolution by direction.
    """
    mask = mask_from_map(maps.volume, pixel_size_ang) if mask is None else mask
    if maps.halves is None:
        return Judgement(mask)
    by_halves = expected_from_halves(fsc(*maps.halves, mask=mask))
    expected = None if reference is None else expected_fsc(maps.halves, reference, mask)
    truth_fsc = by_halves if expected is None else expected.fsc
    reached = resolution_with_truth(truth_fsc, pixel_size_ang)
    local = sharp = line = taken_off = None
    if options.local_resolution:
        share = np.minimum(_correlation(truth_fsc) / np.maximum(_correlation(by_halves), 1e-3), 1)
        local = local_resolution(*maps.halves, pixel_size_ang, share)
    lowpass = options.lowpass_ang or reached
    if options.sharpen:
        mean = (maps.halves[0] + maps.halves[1]) / 2
        line = guinier(mean * mask, pixel_size_ang, reached, truth_fsc)
        taken_off = options.b_factor_ang2 or line.b_factor_ang2
        sharp = sharpened(mean, pixel_size_ang, taken_off, lowpass, truth_fsc)
    whole = half_agreement(maps.halves, mask, pixel_size_ang, views)
    moving = moving_expected = moving_reached = None
    if moving_region is not None:
        moving = half_agreement(maps.halves, moving_region, pixel_size_ang)
        if reference is not None:
            moving_expected = expected_fsc(maps.halves, reference, moving_region)
            moving_reached = moving_expected.resolution_ang(pixel_size_ang)
    return Judgement(
        mask,
        whole=whole,
        moving=moving,
        by_halves=by_halves,
        expected=expected,
        moving_expected=moving_expected,
        resolution_ang=reached,
        moving_resolution_ang=moving_reached,
        local_ang=local,
        sharp=sharp,
        guinier=line,
        b_factor_ang2=taken_off,
        lowpass_ang=lowpass,
    )


def _correlation(with_truth: np.ndarray) -> np.ndarray:
    """The half-map FSC F to which an FSC with the truth belongs: the inverse of √(2F/(1 + F))."""
    return with_truth**2 / (2 - with_truth**2)
