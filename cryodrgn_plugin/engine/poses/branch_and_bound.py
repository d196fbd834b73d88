"""Pose search by branch and bound with frequency marching (Zhong's thesis, 3.1.3 and 3.4.1, Algorithm 1).

Poses are cells of a grid over rotations and shifts. At every level all cells are compared with the image at low
frequency; a cell stays when even a perfect fit of all higher frequencies could make it better than the best cell is in
the whole band. What stays is divided, eight rotations times four shifts, and compared at a higher frequency. Noise fits
no pose, so with noisy images the bound rules out little; `poses.kept` then limits how many cells go on.
"""

import numpy as np
import torch
from torch import Tensor

from ..config import PoseConfig
from ..geometry import so3_grid
from .inference import CHUNK_VALUES, Candidates, PoseInference, Score
from .pose_names import named

QUARTERS = np.array([[-0.25, -0.25], [0.25, -0.25], [-0.25, 0.25], [0.25, 0.25]])
"""Centres of the four parts of a shift cell of side 1."""
ALWAYS_KEPT = 16
"""The best cells go on whatever the bound says: it holds for their centres, and the best pose lies beside them."""


class BranchAndBound(PoseInference):
    """Branch and bound over SO(3) × R².

    Parameters
    ----------
    config : spacing of the first grid, levels of division, most cells kept, shifts, radii.
    box : of the images, in pixels.
    pixel_size_ang : of the images.
    turn : (3, 3). The grid is turned by it, so that repeated searches do not meet the same grid points.
    """

    def __init__(self, config: PoseConfig, box: int, pixel_size_ang: float, *, turn: np.ndarray | None = None):
        self._turn = np.eye(3, dtype=np.float32) if turn is None else np.asarray(turn, np.float32)
        self._first_level = so3_grid.level_for(config.spacing_deg)
        self._grid = torch.from_numpy(so3_grid.grid(self._first_level) @ self._turn)
        self._kept = config.kept
        last = min(config.last_radius, box // 2 - 1)
        self._radii = np.linspace(min(config.first_radius, last), last, config.levels + 1)
        axis = np.linspace(-1, 1, config.shift_steps) if config.shift_steps > 1 else np.zeros(1)
        extent_ang = config.shift_extent * box * pixel_size_ang
        square = np.stack(np.meshgrid(axis, axis, indexing="xy"), axis=-1).reshape(-1, 2)
        self._shifts = torch.from_numpy((extent_ang * square).astype(np.float32))
        self._cell_ang = 2 * extent_ang / max(config.shift_steps - 1, 1)

    def infer(self, score: Score) -> Candidates:
        level, cell_ang, device = self._first_level, self._cell_ang, score.device
        grid, first_shifts = self._grid.to(device), self._shifts.to(device)
        numbers = torch.arange(len(grid), device=device).expand(score.n, -1)
        shifts = first_shifts.expand(*numbers.shape, -1, -1)
        values = score.shared(grid, first_shifts, self._radii[0])
        for low, radius in zip(self._radii, self._radii[1:], strict=False):
            picks, alive = self._survivors(score, values, numbers, shifts, level, low)
            numbers, shifts = _pick(numbers, shifts, picks)
            numbers = so3_grid.children_of(numbers, level).flatten(1)
            quarters = cell_ang * torch.as_tensor(QUARTERS, dtype=shifts.dtype, device=device)
            shifts = (shifts[:, :, None] + quarters).repeat_interleave(so3_grid.CHILDREN, dim=1)
            level, cell_ang = level + 1, cell_ang / 2
            values = score.own(self._rotations(numbers, level), shifts, radius)
            values = values.where(alive.repeat_interleave(so3_grid.CHILDREN, dim=1)[..., None], -torch.inf)
        picks = _best(values, self._kept)
        numbers, shifts = _pick(numbers, shifts, picks)
        scores = values.flatten(1).gather(1, picks)
        return Candidates(self._rotations(numbers, level), shifts, scores, named(numbers, shifts))

    def images_at_once(self) -> int:
        return max(1, CHUNK_VALUES // (len(self._grid) * len(self._shifts)))

    def _rotations(self, numbers: Tensor, level: int) -> Tensor:
        return so3_grid.rotations_at(numbers, level) @ torch.as_tensor(self._turn, device=numbers.device)

    def _survivors(
        self, score: Score, values: Tensor, numbers: Tensor, shifts: Tensor, level: int, radius: float
    ) -> tuple[Tensor, Tensor]:
        """Numbers (B, W) of the best cells among the flattened (B, P · T), and which of them the bound leaves alive."""
        picks = _best(values, self._kept)
        best_number, best_shift = _pick(numbers, shifts, picks[:, :1])
        last = self._radii[-1]
        reached = score.own(self._rotations(best_number, level), best_shift[:, :, None], last)
        cells = values.flatten(1).gather(1, picks)
        alive = cells + score.headroom(radius, last)[:, None] >= reached[:, 0]
        alive[:, :ALWAYS_KEPT] = True
        width = int(alive.sum(1).max())
        return picks[:, :width], alive[:, :width]


def _best(values: Tensor, count: int) -> Tensor:
    """(B, count) numbers of the highest of (B, P, T) values flattened to (B, P · T), the highest first."""
    flat = values.flatten(1)
    return flat.topk(min(count, flat.shape[1]), dim=1)[1]


def _pick(numbers: Tensor, shifts: Tensor, picks: Tensor) -> tuple[Tensor, Tensor]:
    """Rotation numbers (B, W) and shifts (B, W, 2) at flat numbers `picks` of (B, P) numbers × (B, P, T, 2) shifts."""
    rotation, shift = picks // shifts.shape[2], picks % shifts.shape[2]
    image = torch.arange(len(picks), device=picks.device)[:, None]
    return numbers[image, rotation], shifts[image, rotation, shift]
