"""What happens on the way of a training of beads: they go back to the model after the warm-up, and the resolution
rises.

Both follow from the epoch and batch alone, so that a resumed training does the same.
"""

from dataclasses import dataclass

import numpy as np

from ..config import RunConfig
from .objective import VaeObjective

RISING_SHARE = 0.5
"""Of the epochs after the warm-up, in which the resolution rises."""


@dataclass(frozen=True)
class RisingResolution:
    """A `Preparation` of the trainer.

    Parameters
    ----------
    batches : per epoch.
    extent_ang : width of the box.
    """

    objective: VaeObjective
    config: RunConfig
    batches: int
    extent_ang: float

    def __call__(self, epoch: int, batch: int, order: np.ndarray) -> bool:
        warmup = self.config.atoms.warmup_epochs
        self.objective.radius = self._radius(epoch + batch / self.batches)
        if not warmup or epoch != warmup or batch:
            return False
        self.objective.decoder.to_reference()
        return True

    def _radius(self, done: float) -> float | None:
        """Shell up to which images count after so many epochs; None is all of them."""
        first_ang, warmup = self.config.atoms.first_ang, self.config.atoms.warmup_epochs
        share = (done - warmup) / max(RISING_SHARE * (self.config.training.epochs - warmup), 1e-9)
        if not first_ang or share >= 1:
            return None
        first = self.extent_ang / first_ang
        last = self.objective.lattice.radius
        return min(last, first * (last / first) ** max(share, 0.0)) if first < last else None
