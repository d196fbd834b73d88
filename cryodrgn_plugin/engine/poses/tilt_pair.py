"""The score of tilt pairs: one pose explains both images, the second after the known tilt."""

from dataclasses import dataclass

import numpy as np

from .base import Score


@dataclass(frozen=True)
class TiltPairScore:
    """The sum of two scores, `first` at rotations A and `second` at T A, with the shift in common (thesis 3.7.2)."""

    first: Score
    second: Score
    tilt: np.ndarray
    """(3, 3) T."""

    @property
    def n(self) -> int:
        return self.first.n

    def shared(self, rotations: np.ndarray, shifts_ang: np.ndarray, radius: float) -> np.ndarray:
        first = self.first.shared(rotations, shifts_ang, radius)
        return first + self.second.shared(self._tilted(rotations), shifts_ang, radius)

    def own(self, rotations: np.ndarray, shifts_ang: np.ndarray, radius: float) -> np.ndarray:
        first = self.first.own(rotations, shifts_ang, radius)
        return first + self.second.own(self._tilted(rotations), shifts_ang, radius)

    def headroom(self, radius: float, last_radius: float) -> np.ndarray:
        return self.first.headroom(radius, last_radius) + self.second.headroom(radius, last_radius)

    def _tilted(self, rotations: np.ndarray) -> np.ndarray:
        return self.tilt.astype(np.float32) @ rotations
