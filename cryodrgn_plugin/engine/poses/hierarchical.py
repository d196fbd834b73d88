"""Hierarchical search over rotations and shifts (cryoDRGN2: Zhong's thesis, 5.6.1, Algorithm 2).

Every rotation of a first grid is compared with every shift of a square at low frequency; the best rotations, each with
its best shift, are divided into eight and compared again at half the spacing and a higher frequency, and so on.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..config import PoseConfig
from ..geometry import so3_grid
from .inference import CHUNK_VALUES, Candidates, PoseInference, Score, SharedPoses


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

    numbers: Tensor
    shifts_ang: Tensor
    score: Tensor

    def of(self, images: Tensor) -> "GridPoses":
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
        self._turns = so3_grid.quarter_turns(self._level)
        self._grid = self._turned(torch.tensor(so3_grid.grid(self._level)))
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
        grid, shifts = self._grid.to(score.device), torch.as_tensor(self._shifts, device=score.device)
        turns = None if self._turns is None else torch.as_tensor(self._turns, device=score.device)
        best = score.likeliest(SharedPoses(grid, shifts, turns), self.levels.radii[0], self._first_kept)
        return GridPoses(best.numbers, shifts[best.shifts], best.score)

    def refined(self, score: Score, start: GridPoses) -> Candidates:
        """The best poses on ever finer grids around those of the first."""
        numbers, shifts, best = start.numbers, start.shifts_ang, start.score
        rotations = self._grid.to(score.device)[numbers]
        finer = torch.as_tensor(self._finer, device=score.device)
        image = torch.arange(score.n, device=score.device)[:, None]
        for depth, radius in enumerate(self.levels.radii[1:], start=1):
            level = self._level + depth
            numbers = so3_grid.children_of(numbers, level - 1).flatten(1)
            rotations = self._turned(so3_grid.rotations_at(numbers, level))
            around = shifts.repeat_interleave(so3_grid.CHILDREN, dim=1)
            tried = around[:, :, None] + finer * (self._spacing_ang / 2**depth)
            over_shifts, best_shift = score.own(rotations, tried, radius).max(2)
            order = over_shifts.argsort(dim=1, descending=True, stable=True)[:, : self.kept]
            numbers, best, rotations = numbers[image, order], over_shifts[image, order], rotations[image, order]
            shifts = tried[image, order, best_shift[image, order]]
        return Candidates(rotations, shifts, best, numbers)

    def images_at_once(self) -> int:
        return max(1, CHUNK_VALUES // (len(self._grid) * len(self._shifts)))

    def _turned(self, rotations: Tensor) -> Tensor:
        return rotations if self._turn is None else rotations @ torch.as_tensor(self._turn, device=rotations.device)


def square(spacing: float, steps: int) -> np.ndarray:
    """(steps², 2) float32 points of a square lattice about 0."""
    line = (np.arange(steps) - (steps - 1) / 2) * spacing
    return np.stack(np.meshgrid(line, line, indexing="xy"), axis=-1).reshape(-1, 2).astype(np.float32)
