"""Some shells of a half-sphere by themselves: what is added up there takes no memory for the others.

A block owns the voxels of its shells. It stores the hull of all cells (cubes between eight voxels) that have one of
them for a corner, row by row, so that whatever adds to a half-sphere adds to a block as well: sums are whole at the
voxels that are its own, and those beyond are thrown away. Blocks of one sphere own each voxel once.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..imaging.lattice import HalfPlane
from ..imaging.lattice_part import HalfPlanePart
from .sphere import RIM, HalfSphere

REACH = 3**0.5
"""Grid steps that lie between a point and the furthest of its eight voxels, at the most."""
MARGIN = 1e-3
"""Of a frequency, for what rounding does to it."""
HALVINGS = 30


@dataclass(frozen=True)
class SphereBlock(HalfSphere):
    """The voxels of a half-sphere in shells `first` to before `stop`."""

    whole: HalfSphere = field(kw_only=True)
    first: int = field(kw_only=True)
    stop: int = field(kw_only=True)

    @classmethod
    def of(cls, whole: HalfSphere, first: int, stop: int) -> "SphereBlock":
        """Of a whole half-sphere."""
        return cls(whole.box, whole.padding, whole.radius, whole=whole, first=first, stop=stop)

    @property
    def n_shells(self) -> int:
        """Of the whole."""
        return self.whole.n_shells

    @cached_property
    def _own_span(self) -> tuple[np.ndarray, np.ndarray]:
        """(2H+1, 2H+1) each: from which kx on voxels of a (kz, ky) row are the block's own, and before which."""
        begin, shells = self.whole.row_start.astype(np.int64), self.whole.shells
        lengths = np.where(begin >= 0, _lengths(begin, len(shells)), 0)

        def before(shell: int) -> np.ndarray:
            so_far = np.concatenate([[0], np.cumsum(shells < shell, dtype=np.int32)])
            return np.where(begin >= 0, so_far[begin + lengths] - so_far[begin], 0)

        return before(self.first), before(self.stop)

    @cached_property
    def reached(self) -> np.ndarray:
        """(2, 2H+1, 2H+1) int32. From which kx on cells of a (kz, ky) row have a corner of the block's own, and before
        which."""
        low, high = _hull(*self._own_span, (0, 1))
        return np.stack([np.maximum(low - 1, 0), high]).astype(np.int32)

    @cached_property
    def _span(self) -> tuple[np.ndarray, np.ndarray]:
        """As `_own_span`, of what is stored."""
        first, stop = self.reached.astype(np.int64)
        low, high = _hull(first, stop, (-1, 0))
        begin = self.whole.row_start.astype(np.int64)
        lengths = np.where(begin >= 0, _lengths(begin, self.whole.n_voxels), 0)
        return low, np.maximum(np.minimum(np.where(high > low, high + 1, low), lengths), low)

    @cached_property
    def row_start(self) -> np.ndarray:
        """(2H+1, 2H+1) int32, indexed [kz + H, ky + H]: where the voxel kx = 0 of each row would be stored."""
        low, high = self._span
        count = high - low
        start = np.concatenate([[0], np.cumsum(count.ravel())[:-1]]).reshape(count.shape)
        return (start - low).astype(np.int32)

    @cached_property
    def n_voxels(self) -> int:
        """M, the number of stored voxels."""
        low, high = self._span
        return int((high - low).sum())

    @cached_property
    def stored(self) -> np.ndarray:
        """(M,) int64. Where the whole stores each voxel."""
        low, high = self._span
        count = (high - low).ravel()
        first = (self.whole.row_start.astype(np.int64) + low).ravel()
        return np.repeat(first - (np.cumsum(count) - count), count) + np.arange(self.n_voxels)

    @cached_property
    def indices(self) -> np.ndarray:
        """(M, 3) int32. Grid frequencies (kx, ky, kz) of the stored voxels."""
        return self.whole.indices[self.stored]

    @cached_property
    def own(self) -> np.ndarray:
        """(n,) int64. The block's own among the stored voxels."""
        return np.flatnonzero((self.shells >= self.first) & (self.shells < self.stop))

    def ring(self, lattice: HalfPlane, smallest_ratio: float, largest_ratio: float) -> HalfPlanePart:
        """The coefficients of images that add to the block's own voxels, where rotations are scaled by a ratio in these
        bounds."""
        inner, outer = (self.first - 0.5) * self.step - REACH, (self.stop - 0.5) * self.step + REACH
        first = lattice.count(inner / self.step / largest_ratio - MARGIN) if inner > 0 else 0
        stop = lattice.size
        if self.stop < self.n_shells:
            stop = lattice.count(outer / self.step / smallest_ratio + MARGIN)
        return HalfPlanePart(lattice.box, lattice.radius, first=min(first, stop), stop=stop)


def _lengths(begin: np.ndarray, total: int) -> np.ndarray:
    """How many voxels each row holds, of the starts of all rows; those of empty rows mean nothing."""
    flat, lengths = begin.ravel(), np.zeros(begin.size, np.int64)
    rows = np.flatnonzero(flat >= 0)
    lengths[rows] = np.diff(np.append(flat[rows], total))
    return lengths.reshape(begin.shape)


def _hull(low: np.ndarray, high: np.ndarray, offsets: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The spans that hold those of the rows at the offsets in ky and kz; empty ones are 0 to 0."""
    far = int(high.max()) + 1
    low = np.where(high > low, low, far)
    high = np.where(low < far, high, 0)
    lows = [_moved(low, dz, dy, far) for dz in offsets for dy in offsets]
    highs = [_moved(high, dz, dy, 0) for dz in offsets for dy in offsets]
    low, high = np.minimum.reduce(lows), np.maximum.reduce(highs)
    return np.where(high > 0, low, 0), high


def _moved(values: np.ndarray, dz: int, dy: int, beyond: int) -> np.ndarray:
    """values[z + dz, y + dy], `beyond` outside."""
    padded = np.pad(values, 1, constant_values=beyond)
    n = len(values)
    return padded[1 + dz : 1 + dz + n, 1 + dy : 1 + dy + n]


def run_from(sphere: HalfSphere, first: int, most_voxels: float) -> int:
    """The shell before which a block from shell `first` on ends that stores about so many voxels at the most; a single
    shell is as few as one can have."""
    n_shells = sphere.n_shells
    if first == 0 and most_voxels >= sphere.n_voxels:
        return n_shells
    beyond = (stop for stop in range(first + 2, n_shells + 1) if _voxels(sphere, first, stop) > most_voxels)
    return next(beyond, n_shells + 1) - 1


def evenly(sphere: HalfSphere, most_voxels: float) -> float:
    """The fewest voxels at the most with which there are no more blocks: all are of about one size then."""
    count, low, high = _number(sphere, most_voxels), 0.0, most_voxels
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if _number(sphere, middle) <= count else (middle, high)
    return high


def _number(sphere: HalfSphere, most_voxels: float) -> int:
    """Of blocks."""
    number, first, n_shells = 0, 0, sphere.n_shells
    while first < n_shells:
        number, first = number + 1, run_from(sphere, first, most_voxels)
    return number


def _voxels(sphere: HalfSphere, first: int, stop: int) -> float:
    """About how many a block stores."""
    inner = max((first - 0.5) * sphere.step - REACH, 0.0)
    outer = min((stop - 0.5) * sphere.step + REACH, sphere.radius * sphere.step + RIM)
    return 2 / 3 * np.pi * (outer**3 - inner**3)
