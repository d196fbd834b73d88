"""Fourier shell correlation by direction: a map whose particles were seen from few sides is sharp along some axes and
smeared along others, which the mean over a shell hides.

For each of 96 directions the correlation is summed within a double cone of 25° about it, over five shells, and
corrected for the mask as the curve of whole shells is (conical FSC, after Diebolder et al., J. Struct. Biol. 2015, and
Tan et al., Nat. Methods 2017). In a part of space that no image has seen two half-maps may agree all the same: a mask,
the edge of the box or a prior carry over what lies beside it. Coefficients that no view reaches therefore count as not
agreeing; without views, those of cones that have hardly any power.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import healpix
import numpy as np
import scipy.fft

from .fsc import FscCurves, fsc_corrected, mask_corrected, resolution
from .view_gaps import ViewGaps, by_cell, cells

HALF_ANGLE_DEG = 25.0
DIRECTION_LEVEL = 4
EMPTY = 0.05
"""Power of a cone, relative to the median over cones, below which nothing was measured in it."""
FIRST_JUDGED = 4
"""Shell from which on a lack of power tells of views; below it the molecule's own shape makes as much of a
difference."""
FAR_WORSE = 1.7
"""Resolution along the worst direction over that on average, from which on it is a warning."""
NEIGHBOURS = np.array([1, 2, 3, 2, 1]) / 3
"""Weights of the shells that are summed."""
NEAR_DEG = 30.0
"""Width of the neighbourhood by which the middle of the bad directions is found."""
AS_RESOLUTION = 0.143


@dataclass(frozen=True)
class DirectionalFsc:
    """FSC of two maps along M = 96 directions of half a sphere."""

    directions: np.ndarray
    """(M, 3) unit vectors (x, y, z)."""
    curves: np.ndarray
    """(M, D//2 + 1)."""
    pixel_size_ang: float
    views: ViewGaps | None = None
    threshold: float = AS_RESOLUTION
    resolution_ang: np.ndarray = field(init=False)
    """(M,) where each curve falls below the threshold."""

    def __post_init__(self) -> None:
        box = 2 * (self.curves.shape[1] - 1)
        limits = [resolution(curve, self.pixel_size_ang, box, self.threshold) for curve in self.curves]
        object.__setattr__(self, "resolution_ang", np.array(limits))

    @property
    def mean_ang(self) -> float:
        """The mean over directions, taken of spatial frequencies."""
        return float(1 / np.mean(1 / self.resolution_ang))

    @property
    def worst_ang(self) -> float:
        return float(self.resolution_ang.max())

    @property
    def ends_everywhere(self) -> bool:
        """Whether the maps agree to the end of the box along all directions, which have one resolution then."""
        return self.worst_ang <= self.resolution_ang.min() == 2 * self.pixel_size_ang

    @property
    def last_fsc(self) -> np.ndarray:
        """(M,) FSC in the last shell that is judged."""
        return self.curves[:, -2]

    @property
    def quality(self) -> np.ndarray:
        """(M,) what tells directions apart: the frequency each reaches, or the last FSC where all reach the end."""
        return self.last_fsc if self.ends_everywhere else 1 / self.resolution_ang

    @property
    def worst_direction(self) -> np.ndarray:
        """(3,) the middle of those directions, around the one with the worst neighbours, that are nearer to the worst
        than to the mean."""
        quality = self.quality
        cosine = np.abs(self.directions @ self.directions.T)
        near = np.exp((cosine - 1) * 2 / np.radians(NEAR_DEG) ** 2)
        shortfall = np.maximum((quality.mean() + quality.min()) / 2 - quality, 0) + 1e-9
        around = cosine[np.argmax(near @ shortfall / near.sum(1))] > 0.5
        chosen = self.directions[around]
        return _upward(np.linalg.eigh((chosen * shortfall[around, None]).T @ chosen)[1][:, -1])

    @property
    def far_worse(self) -> bool:
        """Whether the worst direction lies so far behind the mean that no one figure describes the map."""
        return self.worst_ang > FAR_WORSE * self.mean_ang

    @property
    def sentence(self) -> str:
        """Both figures in words, as `7.2 Å on average and 19 Å along the worst direction, (0.1, 0.2, 0.97)`."""
        if self.ends_everywhere:
            return f"{_in_ang(self.worst_ang)} along every direction, where the box ends"
        where = ", ".join(f"{x:.2f}" for x in self.worst_direction.round(2) + 0.0)
        return f"{_in_ang(self.mean_ang)} on average and {_in_ang(self.worst_ang)} along the worst direction, ({where})"

    @property
    def warning(self) -> str:
        """What is to be known before the map is believed; empty where all directions are about equal."""
        missing = self.views.sentence if self.views is not None else ""
        worse = "The map is much worse along one direction than on average." if self.far_worse else ""
        return " ".join(part for part in (worse, missing) if part)

    def entry(self) -> dict[str, Any]:
        """As an index holds it."""
        return {
            "mean_ang": round(self.mean_ang, 3),
            "worst_ang": round(self.worst_ang, 3),
            "best_ang": round(float(self.resolution_ang.min()), 3),
            "worst_direction": [round(float(x), 3) + 0.0 for x in self.worst_direction],
            "far_worse": self.far_worse,
            "unseen_share": None if self.views is None else round(self.views.unseen, 4),
        }


def directional_fsc(
    half1: np.ndarray,
    half2: np.ndarray,
    pixel_size_ang: float,
    mask: np.ndarray | None = None,
    curves: FscCurves | None = None,
    views: ViewGaps | None = None,
    threshold: float = AS_RESOLUTION,
) -> DirectionalFsc:
    """FSC by direction of two maps.

    Parameters
    ----------
    half1, half2 : (D, D, D).
    mask : (D, D, D) multiplied onto both first.
    curves : of whole shells inside this mask; None computes them. Without a mask nothing is corrected.
    views : of the particles; None judges what was measured by the power of the maps.
    threshold : 0.143 for half-maps, 0.5 for a map and its truth.
    """
    box = len(half1)
    if mask is not None:
        curves = curves or fsc_corrected(half1, half2, mask)
        half1, half2 = half1 * mask, half2 * mask
    first, second = (scipy.fft.rfftn(np.asarray(volume, np.float32)).ravel() for volume in (half1, half2))
    seen = 1.0 if views is None else views.seen(box)
    products = ((first * second.conj()).real, np.abs(first) ** 2, np.abs(second) ** 2)
    cross, power1, power2 = (_smooth(_by_cone(by_cell(values, box) * seen)) for values in products)
    total = np.sqrt(power1 * power2)
    agreement = np.divide(cross, total, out=np.zeros_like(cross), where=total > 0)
    if curves is not None:
        agreement = mask_corrected(agreement, curves)
    volume = np.maximum(_smooth(_by_cone(by_cell(np.ones(1), box))), 1e-9)
    if views is None:
        power = _smooth(_smooth(total)) / _smooth(_smooth(volume))
        measured = power > EMPTY * np.median(power, axis=0)
        measured[:, :FIRST_JUDGED] = True
    else:
        measured = _smooth(_by_cone(by_cell(np.ones(1), box) * seen)) / volume
    return DirectionalFsc(_directions(), agreement * measured, pixel_size_ang, views, threshold)


def mean_of(several: Sequence[DirectionalFsc]) -> DirectionalFsc:
    """The mean curves of maps of one set of particles."""
    return replace(several[0], curves=np.mean([each.curves for each in several], axis=0))


def _by_cone(by_cell: np.ndarray) -> np.ndarray:
    """(M, D//2 + 1) sums over the cells of each double cone."""
    inside = np.abs(_directions() @ cells().T) >= np.cos(np.radians(HALF_ANGLE_DEG))
    return inside.astype(np.float64) @ by_cell


def _smooth(sums: np.ndarray) -> np.ndarray:
    """Sums over neighbouring shells, shell 0 apart."""
    smoothed = sums.copy()
    padded = np.pad(sums[:, 1:], ((0, 0), (len(NEIGHBOURS) // 2,) * 2))
    smoothed[:, 1:] = sum(w * padded[:, k : k + sums.shape[1] - 1] for k, w in enumerate(NEIGHBOURS))
    return smoothed


@lru_cache(maxsize=1)
def _directions() -> np.ndarray:
    """(96, 3) directions, one of each opposite pair."""
    all_of_them = np.stack(healpix.pix2vec(DIRECTION_LEVEL, np.arange(12 * DIRECTION_LEVEL**2)), axis=1)
    return all_of_them[[bool((_upward(d) == d).all()) for d in all_of_them]]


def _in_ang(resolution_ang: float) -> str:
    return f"{resolution_ang:#.3g} Å" if resolution_ang < 100 else f"{resolution_ang:.0f} Å"


def _upward(direction: np.ndarray) -> np.ndarray:
    """Of the two ends of an axis the upper one."""
    x, y, z = np.round(direction, 9)
    return direction if (z, y, x) > (0, 0, 0) else -direction
