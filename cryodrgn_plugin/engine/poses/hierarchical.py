"""Hierarchical search over rotations and shifts (cryoDRGN2: zhong_thesis_cryodrgn 5.6.1, Algorithm 2).

Every rotation of a first grid is compared with every shift of a square at low frequency; the best rotations, each with
its best shift, are divided into eight and compared again at half the spacing and a higher frequency, and so on.
"""

from dataclasses import dataclass

import numpy as np

from ..config import PoseConfig
from ..geometry import so3_grid
from .inference import CHUNK_VALUES, Candidates, PoseInference, Score


@dataclass(frozen=True)
class SearchLevels:
    """How fine the search goes: the frequency limit of each level; the first is that of the whole grid."""

    radii: tuple[float, ...]

    @classmethod
    def of(cls, config: PoseConfig, box: int) -> "SearchLevels":
        """Limits that rise linearly from `first_radius` to `last_radius`, as far as the box allows."""
        last = min(config.last_radius, box // 2 - 1)
        return cls(tuple(np.linspace(min(config.first_radius, last), last, config.levels + 1)))


@dataclass(frozen=True)
class GridPoses:
    """K poses per image on the first grid, best first: `numbers` (B, K), `shifts_ang` (B, K, 2), `score` (B, K)."""

    numbers: np.ndarray
    shifts_ang: np.ndarray
    score: np.ndarray

    def of(self, images: np.ndarray) -> "GridPoses":
        """Those of some of the images."""
        return GridPoses(self.numbers[images], self.shifts_ang[images], self.score[images])


class HierarchicalSearch(PoseInference):
    """The search with the settings of `config` for images of `box` pixels.

    Parameters
    ----------
    levels : frequency limits; by default those of `config`.
    turn : (3, 3). The grid is turned by it, so that repeated searches do not meet the same grid points.
    first_kept : poses kept on the first grid, where frequencies are low; by default as on the others.
    """

    def __init__(
        self,
        config: PoseConfig,
        box: int,
        pixel_size_ang: float,
        levels: SearchLevels | None = None,
        turn: np.ndarray | None = None,
        first_kept: int | None = None,
    ) -> None:
        self.levels = levels or SearchLevels.of(config, box)
        self.kept, self._first_kept = config.kept, first_kept or config.kept
        self._level = so3_grid.level_for(config.spacing_deg)
        self._turn = None if turn is None else np.asarray(turn, np.float32)
        self._grid = self._turned(so3_grid.grid(self._level))
        extent = config.shift_extent * box * pixel_size_ang
        steps = config.shift_steps
        self._spacing_ang = 2 * extent / steps
        self._shifts = square(self._spacing_ang, steps)
        self._finer = square(1.0, config.finer_shift_steps)

    def infer(self, score: Score) -> Candidates:
        """The `kept` best poses of each image at the last level, best first."""
        return self.refined(score, self.first(score))

    def first(self, score: Score) -> GridPoses:
        """The best rotations of the first grid, each with its best shift, best first."""
        scores = score.shared(self._grid, self._shifts, self.levels.radii[0])
        over_shifts = scores.max(2)
        kept = min(self._first_kept, over_shifts.shape[1])
        best = np.argpartition(-over_shifts, kept - 1, axis=1)[:, :kept]
        value = np.take_along_axis(over_shifts, best, 1)
        order = np.argsort(-value, axis=1, kind="stable")
        best = np.take_along_axis(best, order, 1)
        shift = np.take_along_axis(scores, best[:, :, None], 1).argmax(2)
        return GridPoses(best, self._shifts[shift], np.take_along_axis(value, order, 1))

    def refined(self, score: Score, found: GridPoses) -> Candidates:
        """The best poses on ever finer grids around those of the first."""
        numbers, shifts, best = found.numbers, found.shifts_ang, found.score
        rotations = self._grid[numbers]
        for depth, radius in enumerate(self.levels.radii[1:], start=1):
            level = self._level + depth
            numbers = so3_grid.children(numbers, level - 1).reshape(len(numbers), -1)
            rotations = self._turned(so3_grid.rotations_of(numbers, level))
            around = np.repeat(shifts, so3_grid.CHILDREN, axis=1)
            tried = around[:, :, None] + self._finer * (self._spacing_ang / 2**depth)
            scores = score.own(rotations, tried, radius)
            best_shift = scores.argmax(2)
            scores = scores.max(2)
            order = np.argsort(-scores, axis=1, kind="stable")[:, : self.kept]
            tried = np.take_along_axis(tried, best_shift[:, :, None, None], 2)[:, :, 0]
            numbers, best = (np.take_along_axis(each, order, 1) for each in (numbers, scores))
            rotations = np.take_along_axis(rotations, order[:, :, None, None], 1)
            shifts = np.take_along_axis(tried, order[:, :, None], 1)
        return Candidates(rotations, shifts.astype(np.float32), best)

    def images_at_once(self) -> int:
        return max(1, CHUNK_VALUES // (len(self._grid) * len(self._shifts)))

    def _turned(self, rotations: np.ndarray) -> np.ndarray:
        return rotations if self._turn is None else rotations @ self._turn


def square(spacing: float, steps: int) -> np.ndarray:
    """(steps², 2) float32 points of a square lattice about 0."""
    line = (np.arange(steps) - (steps - 1) / 2) * spacing
    return np.stack(np.meshgrid(line, line, indexing="xy"), axis=-1).reshape(-1, 2).astype(np.float32)
