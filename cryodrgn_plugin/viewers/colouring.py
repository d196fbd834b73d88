"""A value per particle that colours it."""

from dataclasses import dataclass

import numpy as np

from .plane_view import brief


@dataclass(frozen=True)
class Colouring:
    """A value per particle to colour it by."""

    name: str
    values: np.ndarray
    """(N,) class numbers from 1, or a quantity."""
    categorical: bool = False
    series: str = ""
    """The series whose maps are those of the classes, in their order; empty for none."""
    words: tuple[str, ...] = ()
    """What the classes, or the values from 0 that stand for texts in their order, are called where numbers are not
    enough."""

    def told(self, index: int) -> str:
        """Name and value at a particle."""
        value = self.values[index]
        if self.words:
            place = int(value) - self.categorical
            return f"{self.name} {self.words[place] if 0 <= place < len(self.words) else 'none'}"
        return f"{self.name} {int(value)}" if self.categorical else f"{self.name} {brief(value)}"
