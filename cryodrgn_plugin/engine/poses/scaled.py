"""The score of images whose extent differs from the reference's: poses are brought to their lattice on the way."""

from dataclasses import dataclass

import numpy as np

from .inference import Score


@dataclass(frozen=True)
class ScaledScore:
    """`score` of images at poses multiplied by `ratio`, reference extent over own extent (docs/conventions.md)."""

    score: Score
    ratio: float

    @property
    def n(self) -> int:
        return self.score.n

    def shared(self, rotations: np.ndarray, shifts_ang: np.ndarray, radius: float) -> np.ndarray:
        return self.score.shared(rotations * np.float32(self.ratio), shifts_ang * self.ratio, radius)

    def own(self, rotations: np.ndarray, shifts_ang: np.ndarray, radius: float) -> np.ndarray:
        return self.score.own(rotations * np.float32(self.ratio), shifts_ang * self.ratio, radius)

    def headroom(self, radius: float, last_radius: float) -> np.ndarray:
        return self.score.headroom(radius, last_radius)
