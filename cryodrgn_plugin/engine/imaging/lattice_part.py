"""A run of the coefficients of a half-plane by themselves: a ring of the Fourier plane."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from .lattice import HalfPlane


@dataclass(frozen=True)
class HalfPlanePart(HalfPlane):
    """Coefficients `first` to before `stop` of a half-plane."""

    first: int = field(kw_only=True)
    stop: int = field(kw_only=True)

    @cached_property
    def indices(self) -> np.ndarray:
        """(F, 2) int32. Integer frequencies (kx, ky), sorted by |k|."""
        return HalfPlane(self.box, self.radius).indices[self.first : self.stop]
