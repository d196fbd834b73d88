"""Small parts of the molecule, each with a direction of its own that ends at its border.

A direction that is confined to a part has a hundred coefficients where one of the whole molecule has thousands, and
noise looks like it that much less.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

EDGE = 1.5
"""Over so many voxels of a band the border falls from 1 to 0."""


@dataclass(frozen=True)
class LocalParts:
    """`balls` (L, 4): centre (z, y, x) from the corner of the box, and radius, in boxes."""

    balls: np.ndarray

    def __len__(self) -> int:
        return len(self.balls)

    def and_those(self, others: "LocalParts") -> "LocalParts":
        """Both, one after the other."""
        return LocalParts(np.concatenate([self.balls, others.balls]))

    def hold(self, places: np.ndarray) -> np.ndarray:
        """(P,) whether places (P, 3), in boxes, lie inside of any."""
        far = np.linalg.norm(places[:, None] - self.balls[None, :, :3], axis=2)
        return (far < self.balls[:, 3]).any(1)

    def masks(self, box: int) -> Iterator[np.ndarray]:
        """(D, D, D) float32 each, on a grid of `box` voxels."""
        grid = np.indices((box,) * 3, dtype=np.float32)
        for *centre, radius in self.balls:
            far = np.sqrt(sum((axis - box * place) ** 2 for axis, place in zip(grid, centre, strict=True)))
            yield np.clip((box * radius - far) / EDGE + 0.5, 0, 1).astype(np.float32)
