"""Nested grids of rotations: the Hopf fibration over HEALPix (Zhong's thesis, 3.4 and 5.6.1).

A rotation of the grid is a viewing direction, a HEALPix pixel, and an in-plane angle, the middle of one of equal steps.
Every level halves the spacing: each rotation has eight children, four directions times two angles, and the children of
all rotations are the next level.

    level        0     1      2       3        4
    rotations   72   576  4,608  36,864  294,912
    spacing    60°   30°    15°    7.5°    3.75°

Rotations are numbered direction by direction: number = direction · in-plane steps + step, directions in HEALPix's
nested order. The in-plane angle of a child is counted from its parent's, carried from one direction to the other
without a turn. Counted from psi = 0 everywhere, children of a cell at a pole, where rot means nothing, would lie up to
180° from their parent and leave a hole where a search descends.
"""

from functools import lru_cache

import healpix
import numpy as np
import torch
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from torch import Tensor

from .rotations import matrices_from_euler

CHILDREN = 8


def spacing_deg(level: int) -> float:
    """In-plane step of a level, and about the distance between neighbouring directions."""
    return 60.0 / 2**level


def n_inplane(level: int) -> int:
    """In-plane angles per direction."""
    return 6 * 2**level


def size(level: int) -> int:
    """Number of rotations of a level."""
    return 72 * CHILDREN**level


def level_for(degrees: float) -> int:
    """The coarsest level whose spacing is at most `degrees`."""
    return max(0, int(np.ceil(np.log2(60.0 / degrees) - 1e-9)))


@lru_cache(maxsize=4)
def grid(level: int) -> np.ndarray:
    """(R, 3, 3) float32. All rotations of a level, volume to view; do not write into it."""
    rotations = rotations_of(np.arange(size(level)), level)
    rotations.flags.writeable = False
    return rotations


def rotations_of(numbers: np.ndarray, level: int) -> np.ndarray:
    """Rotations (..., 3, 3) float32 of the given numbers of a level."""
    numbers = np.asarray(numbers)
    direction, step = np.divmod(numbers.ravel(), n_inplane(level))
    rot_deg, tilt_deg = _directions_deg(direction, level)
    psi_deg = (step + 0.5) * spacing_deg(level) + _inplane_zeros_deg(level)[direction]
    angles_deg = np.stack([rot_deg, tilt_deg, psi_deg], axis=1)
    return matrices_from_euler(angles_deg).astype(np.float32).reshape(*numbers.shape, 3, 3)


def quarter_turns(level: int) -> np.ndarray | None:
    """(R/4, 4) numbers of the rotations of a level, each with itself turned in its plane by 90, 180 and 270 degrees;
    None where in-plane angles are no multiple of four."""
    steps = n_inplane(level)
    if steps % 4:
        return None
    return np.arange(size(level)).reshape(-1, 4, steps // 4).swapaxes(1, 2).reshape(-1, 4)


def children(numbers: np.ndarray, level: int) -> np.ndarray:
    """Numbers (..., 8) on level + 1 of the rotations into which those of `level` are divided."""
    direction, step = np.divmod(np.asarray(numbers), n_inplane(level))
    # Four directions, each with two angles: 0 0 1 1 2 2 3 3 and 0 1 0 1 0 1 0 1.
    directions = 4 * direction[..., None] + np.arange(4).repeat(2)
    steps = 2 * step[..., None] + np.tile(np.arange(2), 4)
    return directions * n_inplane(level + 1) + steps


def rotations_at(numbers: Tensor, level: int) -> Tensor:
    """As `rotations_of`, on the device of `numbers`: (..., 3, 3) float32."""
    step = numbers % n_inplane(level)
    seen_from, zero_deg = (table.to(numbers.device) for table in _directions_at(level))
    direction = numbers // n_inplane(level)
    psi = torch.deg2rad((step + 0.5) * spacing_deg(level) + zero_deg[direction])
    cosine, sine, zero = psi.cos(), psi.sin(), torch.zeros_like(psi)
    inplane = torch.stack([cosine, sine, zero, -sine, cosine, zero, zero, zero, zero + 1], -1).unflatten(-1, (3, 3))
    return (inplane @ seen_from[direction]).float()


def children_of(numbers: Tensor, level: int) -> Tensor:
    """As `children`, on the device of `numbers`."""
    direction, step = numbers // n_inplane(level), numbers % n_inplane(level)
    part = torch.arange(CHILDREN, device=numbers.device)
    directions = 4 * direction[..., None] + part // 2
    return directions * n_inplane(level + 1) + 2 * step[..., None] + part % 2


def parents(numbers: np.ndarray, level: int) -> np.ndarray:
    """Numbers on level − 1 of the rotations that those of `level` came from."""
    direction, step = np.divmod(np.asarray(numbers), n_inplane(level))
    return direction // 4 * n_inplane(level - 1) + step // 2


def nearest(rotations: np.ndarray, level: int, count: int = 1) -> np.ndarray:
    """Numbers (N, count) of the rotations of a level nearest to the given ones (N, 3, 3), the nearest first."""
    # q and −q are one rotation: the tree holds both.
    distance_order = _tree(level).query(_quaternions(rotations), k=2 * count)[1]
    return (distance_order % size(level)).reshape(len(rotations), -1)[:, :count]


def neighbours(numbers: np.ndarray, level: int, count: int) -> np.ndarray:
    """Numbers (N, count) of the rotations of a level nearest to its rotations `numbers`, without these themselves."""
    numbers = np.atleast_1d(numbers)
    near = nearest(rotations_of(numbers, level), level, count + 1)
    return near[near != numbers[:, None]].reshape(len(numbers), count)


def _directions_deg(direction: np.ndarray, level: int) -> tuple[np.ndarray, np.ndarray]:
    """(rot, tilt) of HEALPix pixels."""
    tilt, rot = healpix.pix2ang(2**level, direction, nest=True)
    return np.degrees(rot), np.degrees(tilt)


@lru_cache(maxsize=16)
def _directions_at(level: int) -> tuple[Tensor, Tensor]:
    """Views (directions, 3, 3) at psi = 0, and (directions,) the psi from which in-plane steps are counted; float64."""
    pixels = np.arange(12 * 4**level)
    views = matrices_from_euler(np.stack([*_directions_deg(pixels, level), np.zeros(len(pixels))], axis=1))
    return torch.from_numpy(np.ascontiguousarray(views)), torch.from_numpy(_inplane_zeros_deg(level))


@lru_cache(maxsize=16)
def _inplane_zeros_deg(level: int) -> np.ndarray:
    """(directions,) psi from which in-plane steps are counted: the parent's, with the least turn from there to here."""
    directions = np.arange(12 * 4**level)
    if level == 0:
        return np.zeros(len(directions))
    views, parent_views = (
        matrices_from_euler(np.stack([*_directions_deg(pixel, depth), np.zeros(len(pixel))], axis=1))
        for pixel, depth in ((directions, level), (directions // 4, level - 1))
    )
    # The trace of Rz(turn) · step is largest, so their distance least, at this turn.
    step = views @ np.swapaxes(parent_views, 1, 2)
    turn = np.arctan2(step[:, 1, 0] - step[:, 0, 1], step[:, 0, 0] + step[:, 1, 1])
    return _inplane_zeros_deg(level - 1)[directions // 4] + np.degrees(turn)


@lru_cache(maxsize=2)
def _tree(level: int) -> cKDTree:
    quaternions = _quaternions(grid(level))
    return cKDTree(np.concatenate([quaternions, -quaternions]))


def _quaternions(rotations: np.ndarray) -> np.ndarray:
    return Rotation.from_matrix(np.asarray(rotations, dtype=np.float64)).as_quat()
