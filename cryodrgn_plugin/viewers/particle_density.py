"""Pictures of any number of particles in a plane: every one is counted in its pixel, and none is left out.

What a pixel shows is told by sums over the particles in it: how many there are, the mean of a quantity, the mean of the
colours of their classes. Where few are in sight each is a disc of some pixels. A million particles take some tens of
milliseconds, so that the picture is simply made anew when the view changes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from .plane_view import PlaneView

RADII = ((4_000, 4), (12_000, 3), (40_000, 2), (150_000, 1))
"""With at most so many particles in sight, each is a disc of this radius in pixels."""
FAR = np.float32(1e18)
"""Where particles without a place are put, so that nothing finds them."""
FAINTEST = 0.65
"""Opacity of a pixel with a single particle; the fullest pixel has 1."""

Sums = Callable[[np.ndarray | None], np.ndarray]
"""From weights (N,) of all particles, or None for ones, to their sums (M,) over the M pixels that hold particles."""


class Shade(Protocol):
    """How particles give pixels their colours."""

    known: np.ndarray | None
    """(N,) bool: those that have a colour; None for all."""

    def colours(self, sums: Sums, counts: np.ndarray) -> np.ndarray:
        """(M, 3) from 0 to 1, of pixels with `counts` (M,) particles."""


@dataclass(frozen=True)
class CountShade:
    """By the logarithm of how many particles are there; `scale` (L, 3) has its colours, from few to many."""

    scale: np.ndarray
    known: np.ndarray | None = None

    def colours(self, sums: Sums, counts: np.ndarray) -> np.ndarray:
        return looked_up(self.scale, fullness(counts))


@dataclass(frozen=True)
class MeanShade:
    """By the mean of a quantity (N,) between `low` and `high`; particles without a finite value have no colour."""

    values: np.ndarray
    low: float
    high: float
    scale: np.ndarray
    known: np.ndarray | None = field(init=False)

    def __post_init__(self) -> None:
        finite = np.isfinite(self.values)
        object.__setattr__(self, "known", None if finite.all() else finite)

    def colours(self, sums: Sums, counts: np.ndarray) -> np.ndarray:
        mean = sums(self.values) / counts
        return looked_up(self.scale, (mean - self.low) / max(self.high - self.low, 1e-30))


@dataclass(frozen=True)
class ClassShade:
    """By class: `codes` (N,) from 0 name rows of `palette` (K, 3), from 0 to 1; a pixel has the mean of its colours."""

    codes: np.ndarray
    palette: np.ndarray
    known: np.ndarray | None = None

    @cached_property
    def _channels(self) -> list[np.ndarray]:
        return [channel[self.codes] for channel in np.ascontiguousarray(self.palette.T, float)]

    def colours(self, sums: Sums, counts: np.ndarray) -> np.ndarray:
        return np.stack([sums(channel) for channel in self._channels], axis=1) / counts[:, None]


class Cloud:
    """Particles at `points` (N, 2) of a plane."""

    def __init__(self, points: np.ndarray) -> None:
        placed = np.nan_to_num(np.asarray(points, np.float32), nan=FAR, posinf=FAR, neginf=-FAR)
        self._x, self._y = (np.ascontiguousarray(column) for column in placed.T)
        self._spots: tuple[PlaneView, _Spots] | None = None

    def __len__(self) -> int:
        return len(self._x)

    def painted(self, view: PlaneView, shade: Shade, lit: np.ndarray | None, grey: np.ndarray) -> np.ndarray:
        """The picture (height, width, 3) uint8 on white.

        Parameters
        ----------
        lit : (N,) bool, the particles that have their colours, on top of all others in `grey` (3,); None for all.
        """
        spots = self._in_sight(view)
        shown = _both(lit, shade.known)
        picture = np.ones((view.height * view.width, 3), np.float32)
        if shown is not None:
            _lay(picture, spots.of(~shown), lambda _sums, counts: np.broadcast_to(grey, (len(counts), 3)))
        _lay(picture, spots.of(shown), shade.colours)
        return (picture * 255).astype(np.uint8).reshape(view.height, view.width, 3)

    def nearest(self, view: PlaneView, pixel: tuple[float, float]) -> tuple[int, float]:
        """Index of the particle that is drawn nearest to a pixel, and how many pixels away it is."""
        (x, y), (across, up) = view.to_plane(np.array(pixel)), view.scale
        with np.errstate(over="ignore"):
            away = ((self._x - np.float32(x)) * np.float32(across)) ** 2
            away += ((self._y - np.float32(y)) * np.float32(up)) ** 2
        index = int(np.argmin(away))
        return index, float(np.sqrt(away[index]))

    def _in_sight(self, view: PlaneView) -> "_Spots":
        """Kept for the view that was asked for last: a change of colours asks for the same again."""
        if self._spots is None or self._spots[0] != view:
            self._spots = view, _Spots.of_points(self._x, self._y, view)
        return self._spots[1]


@dataclass(frozen=True)
class _Spots:
    """The particles in sight, by the pixel that each is in, on a grid with a rim for discs of those just outside."""

    cells: np.ndarray
    """(n,) number of the pixel."""
    which: np.ndarray | None
    """(n,) index of the particle; None where all are in sight, in their order."""
    radius: int
    shape: tuple[int, int]
    """Of the grid with its rim."""

    @classmethod
    def of_points(cls, x: np.ndarray, y: np.ndarray, view: PlaneView) -> "_Spots":
        across, up = (np.float32(scale) for scale in view.scale)
        right = (x - np.float32(view.x[0])) * across
        down = (np.float32(view.y[1]) - y) * up
        count = int(np.count_nonzero(_within(right, down, view, 0)))
        radius = next((radius for most, radius in RADII if count <= most), 0)
        inside = _within(right, down, view, radius)
        which = None if inside.all() else np.flatnonzero(inside)
        if which is not None:
            right, down = right[which], down[which]
        shape = (view.height + 4 * radius, view.width + 4 * radius)
        columns, rows = (np.floor(place).astype(np.int32) + 2 * radius for place in (right, down))
        return cls((rows * np.int32(shape[1]) + columns).astype(np.intp), which, radius, shape)

    def of(self, shown: np.ndarray | None) -> "_Spots":
        """Those of them that are also in `shown` (N,) bool; None for all."""
        if shown is None:
            return self
        here = np.flatnonzero(shown if self.which is None else shown[self.which])
        which = here if self.which is None else self.which[here]
        return _Spots(self.cells[here], which, self.radius, self.shape)

    def sums(self, weights: np.ndarray | None) -> np.ndarray:
        """(height · width,) sums of the weights (N,) of particles, or their number, under discs with a soft edge."""
        if weights is not None and self.which is not None:
            weights = weights[self.which]
        cells = self.cells
        if self.radius:
            steps, shares = _disc(self.radius, self.shape[1])
            ones = np.ones(len(cells)) if weights is None else weights
            cells, weights = (cells[:, None] + steps).ravel(), (ones[:, None] * shares).ravel()
        total = np.bincount(cells, weights, self.shape[0] * self.shape[1]).reshape(self.shape)
        rim = slice(2 * self.radius, -2 * self.radius or None)
        return total[rim, rim].ravel()


def _within(right: np.ndarray, down: np.ndarray, view: PlaneView, rim: int) -> np.ndarray:
    inside = (right >= -rim) & (right < view.width + rim)
    inside &= (down >= -rim) & (down < view.height + rim)
    return inside


def _disc(radius: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps in a grid from the middle of a disc to its pixels, and how much of each it covers, (k,) both."""
    down, right = np.mgrid[-radius : radius + 1, -radius : radius + 1].reshape(2, -1)
    shares = np.clip(radius + 0.3 - np.hypot(down, right), 0, 1)
    return (down * stride + right)[shares > 0], shares[shares > 0]


def _lay(picture: np.ndarray, spots: _Spots, colours: Callable[[Sums, np.ndarray], np.ndarray]) -> None:
    """Paint particles over a picture (M, 3), the more of them in a pixel the less of what was there shows through."""
    counts = spots.sums(None)
    where = np.flatnonzero(counts)
    if not len(where):
        return
    counts = counts[where]
    painted = np.clip(colours(lambda weights: spots.sums(weights)[where], counts), 0, 1)
    opacity = np.minimum(counts, 1) * (FAINTEST + (1 - FAINTEST) * fullness(counts))
    picture[where] += (opacity[:, None] * (painted - picture[where])).astype(np.float32)


def fullness(counts: np.ndarray) -> np.ndarray:
    """From 0 for a single particle to 1 for the fullest pixel, by the logarithm."""
    highest = max(float(counts.max()), 1.0)
    return np.log(np.maximum(counts, 1)) / np.log(highest) if highest > 1 else np.zeros(len(counts))


def looked_up(scale: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Colours (M, 3) at shares (M,) from 0 to 1 of a scale (L, 3)."""
    return scale[np.clip(shares * (len(scale) - 1) + 0.5, 0, len(scale) - 1).astype(int)]


def _both(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    if first is None or second is None:
        return first if second is None else second
    return first & second
