"""The half-sphere as cubes of neighbouring voxels, and which images' slices pass through each."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..device_tables import made
from ..sphere import HalfSphere

PAIRS = 2**26
"""Cubes times images that are looked at together."""


@dataclass(frozen=True)
class VoxelTiles:
    """Cubes of `side`³ voxels that hold at least one stored voxel; x runs fastest inside of them."""

    voxels: Tensor
    """(n, side³) int32. Where each voxel is stored, −1 for none."""
    first: Tensor
    """(n, 3) int32. Grid frequencies x, y, z of the first voxel."""
    side: int

    @classmethod
    def of(cls, sphere: HalfSphere, side: int, device: torch.device) -> "VoxelTiles":
        """Made once for a sphere on a device."""
        voxels = made(sphere, f"tile_voxels_{side}", device, lambda sphere: _tiles(sphere, side)[0])
        first = made(sphere, f"tile_first_{side}", device, lambda sphere: _tiles(sphere, side)[1])
        return cls(voxels, first, side)

    def __len__(self) -> int:
        return len(self.voxels)

    def images(self, rotations: Tensor) -> tuple[Tensor, Tensor]:
        """Which of the images at rotations (B, 3, 3) may reach into each cube.

        Returns
        -------
        Numbers of images, cube by cube and rising within one, int32; where each cube's begin, (n + 1,) int64.
        """
        middle = self.first + (self.side - 1) / 2
        # Half a diagonal of the cube, and as far as a point reaches its neighbours.
        reach = 3**0.5 * ((self.side - 1) / 2 + 1)
        normals = torch.nn.functional.normalize(rotations[:, 2], dim=1).T
        counts, members = [], []
        for some in middle.split(max(1, PAIRS // max(1, len(rotations)))):
            near = (some @ normals).abs() <= reach
            counts.append(near.sum(1))
            members.append(near.nonzero()[:, 1].int())
        begins = torch.nn.functional.pad(torch.cat(counts).cumsum(0), (1, 0))
        return torch.cat(members), begins


def _tiles(sphere: HalfSphere, side: int) -> tuple[np.ndarray, np.ndarray]:
    shifted = sphere.indices.astype(np.int64) + np.array([0, sphere.half_width, sphere.half_width])
    cube, within = shifted // side, shifted % side
    per_axis = 2 * sphere.half_width // side + 1
    number = (cube[:, 2] * per_axis + cube[:, 1]) * per_axis + cube[:, 0]
    present, row = np.unique(number, return_inverse=True)
    voxels = np.full((len(present), side**3), -1, dtype=np.int32)
    voxels[row, (within[:, 2] * side + within[:, 1]) * side + within[:, 0]] = np.arange(sphere.n_voxels)
    x, y, z = present % per_axis, present // per_axis % per_axis, present // per_axis**2
    first = np.stack([x * side, y * side - sphere.half_width, z * side - sphere.half_width], 1)
    return voxels, first.astype(np.int32)
