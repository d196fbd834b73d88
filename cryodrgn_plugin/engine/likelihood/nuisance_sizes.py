"""How much images err: standard deviations of errors that are known of each image with a variance of its own.

One for the three rotations, one for the two shifts, one for the defocus.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ..ranks import Ranks

Size = TypeVar("Size", float, Tensor)

FIRST_CONTRAST_SD, FIRST_TURN_SD, FIRST_SHIFT_SD, FIRST_DEFOCUS_SD = 0.3, np.radians(1.0), 0.008, 0.03
"""What contrast, rotations (radians), shifts (boxes) and the defocus (micrometres) are taken to err by at first."""
PUSH = 2.0
"""Exponent on the factor by which EM would change a variance; EM alone takes twice the steps."""
ALIKE = (slice(0, 3), slice(3, 5), slice(5, 6))
"""Errors that share one variance."""
DEFOCUS = 5
"""Which of the errors is that of the defocus, where there is one."""
SHORTEST_STEP, LONGEST_STEP = 1 / 16, 4.0
"""Factors by which a variance may change at once."""
WELL_KNOWN = 0.1
"""Standard error of the variance of the defocus, as a share of it, from which on images that were moved leave it."""
LEAST_DEFOCUS_SD = 5e-4
"""Micrometres below which an error of the defocus is nothing."""


def first_sizes(with_defocus: bool) -> np.ndarray:
    """(J,) what errors are taken to be at first, J = 6 with the defocus and 5 without."""
    return np.repeat([FIRST_TURN_SD, FIRST_SHIFT_SD, FIRST_DEFOCUS_SD], [3, 2, int(with_defocus)])


def pushed(sd: Size, seen: Size) -> Size:
    """A standard deviation after a step that is longer than EM's, which would make it `seen`."""
    return sd * (seen / sd) ** PUSH


@dataclass
class Spread:
    """Sums over images of what their errors say of standard deviations `sd` (J,)."""

    sd: Tensor
    squares: Tensor
    """(J,) of E[t²]."""
    told: Tensor
    """(J,) of (1 − v/λ²)², v the posterior variance: twice λ⁴ times the Fisher information of λ²."""
    keeps_defocus: bool = False
    n: int = 0

    @classmethod
    def nothing(cls, sd: Tensor, moved: Tensor, doubt: Tensor | None, ranks: Ranks) -> "Spread":
        """Before the first image. Images that were moved (N, J) make a consensus that they agree with, by their noise
        as well; errors of the defocus then look smaller than they are, and stay what they were where they are known."""
        known = doubt is not None and bool((doubt[DEFOCUS:] < WELL_KNOWN).any())
        sd = sd.clamp(min=1e-12)
        return cls(sd, torch.zeros_like(sd), torch.zeros_like(sd), known and ranks.any(bool(moved[:, DEFOCUS:].any())))

    def add(self, mean: Tensor, variance: Tensor) -> None:
        """Posterior means and variances of errors, (n, J)."""
        self.n += len(mean)
        self.squares += (mean**2 + variance).sum(0)
        self.told += ((1 - variance / self.sd**2) ** 2).sum(0)

    def add_up(self, ranks: Ranks) -> None:
        """Make them the sums over the images of all processes."""
        if ranks.alone:
            return
        count = self.squares.new_tensor([self.n])
        ranks.total(self.squares, self.told, count)
        self.n = int(count)

    def learned(self) -> Tensor:
        """(J,) the standard deviations that all images together speak for: EM's, its steps drawn out, but for that of
        the defocus.

        Few images tell their defocus well, and EM takes the longer the less they tell. λ² of the defocus therefore
        follows by Fisher scoring, λ² ← λ² (1 + Σ (E[t²]/λ² − 1) / Σ (1 − v/λ²)²), to where there is nothing to learn.
        """
        sd = pushed(self.sd, self._alike(self.squares / self.n).sqrt())
        for own in range(DEFOCUS, len(sd)):
            excess = self.squares[own] / self.sd[own] ** 2 - self.n
            factor = (1 + excess / self.told[own].clamp(min=1e-12)).clamp(SHORTEST_STEP, LONGEST_STEP)
            factor = torch.ones_like(factor) if self.keeps_defocus else factor
            sd[own] = (self.sd[own] * factor.sqrt()).clamp(min=LEAST_DEFOCUS_SD)
        return sd

    def doubt(self) -> Tensor:
        """(J,) standard error of λ² as a share of it."""
        sums = [self.told[some].sum().expand(len(self.told[some])) for some in ALIKE]
        return (2 / torch.cat(sums).clamp(min=1e-12)).sqrt()

    def _alike(self, values: Tensor) -> Tensor:
        return torch.cat([values[some].mean().expand(len(values[some])) for some in ALIKE])
