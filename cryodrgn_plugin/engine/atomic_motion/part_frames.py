"""How rigid parts lie in particles: by the motion at their places in the latent space, or each by itself."""

from dataclasses import dataclass

import numpy as np

from .part_motion import PartMotion


@dataclass(frozen=True)
class PartFrames:
    """P parts in n particles: part p lies at R x + u, x being where it is in the model."""

    rotations: np.ndarray
    """(n, P, 3, 3) R."""
    shifts_px: np.ndarray
    """(n, P, 3) u, in voxels."""
    occupancy: np.ndarray
    """(n, P) how much of a part is there."""

    @classmethod
    def of(cls, motion: PartMotion, points: np.ndarray) -> "PartFrames":
        """As a motion has them at positions (n, D)."""
        return cls(*motion.frames(points))

    @classmethod
    def joined(cls, pieces: list["PartFrames"], rows: list[np.ndarray]) -> "PartFrames":
        """Of all particles, from those of some each, whose numbers (n,) are `rows`."""
        order = np.argsort(np.concatenate(rows))
        names = ("rotations", "shifts_px", "occupancy")
        return cls(*(np.concatenate([getattr(piece, name) for piece in pieces])[order] for name in names))

    def __len__(self) -> int:
        return len(self.rotations)

    def __getitem__(self, rows: np.ndarray | slice) -> "PartFrames":
        """Those of some particles."""
        return PartFrames(self.rotations[rows], self.shifts_px[rows], self.occupancy[rows])

    def centres_px(self, centres_px: np.ndarray) -> np.ndarray:
        """(n, P, 3) where the parts' centres (P, 3) come to lie."""
        return np.einsum("npxy,py->npx", self.rotations, centres_px) + self.shifts_px
