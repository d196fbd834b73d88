"""Which Fourier coefficients of an image a training step looks at, when it does not look at all of them.

Coefficients are drawn by systematic sampling: along the half-plane, sorted by |k|, the inclusion probabilities are
laid end to end and a comb with one random offset picks exactly n of them, so every step sees all shells in proportion.
A coefficient that is drawn counts 1/probability, which keeps the expectation of the loss and of its gradient.
"""

import torch
from torch import Tensor

from ..data.step_draws import StepDraws

UNIFORM_SHARE = 0.25
"""Share of the draws that ignores the expected information, so that no coefficient gets an extreme weight."""


class PointSampler:
    """Draws a `share` of the F coefficients.

    Parameters
    ----------
    amplitude : (G, F). Expected |signal| / σ of each coefficient at CTF = 1. The gradient that a coefficient of pure
        noise sends is proportional to |CTF| · amplitude, the square root of its CTF² · SSNR; drawing in proportion to
        that has the least variance.
    share : of the coefficients, in (0, 1].
    """

    def __init__(self, amplitude: Tensor, share: float):
        self._amplitude = amplitude
        self.count = max(1, round(share * amplitude.shape[1]))

    def draw(self, ctf: Tensor, group: Tensor, draws: StepDraws) -> tuple[Tensor, Tensor]:
        """Indices (B, n) int64 into the coefficients, and 1/probability of each, (B, n)."""
        probability = self.probabilities(ctf, group)
        total = probability.cumsum(1)
        total = total * (self.count / total[:, -1:])
        offset = draws.uniform((len(ctf), 1)).to(ctf.device)
        # Teeth one apart on a line where each coefficient takes up its probability: drawn as often as teeth meet it.
        comb = torch.arange(self.count, device=ctf.device) + offset
        index = torch.searchsorted(total, comb).clamp(max=total.shape[1] - 1)
        return index, 1 / probability.gather(1, index)

    def probabilities(self, ctf: Tensor, group: Tensor) -> Tensor:
        """(B, F). Expected number of times each coefficient is drawn; they sum to n and hardly exceed one."""
        wanted = ctf.abs() * self._amplitude[group.long()]
        wanted = (1 - UNIFORM_SHARE) * wanted / wanted.sum(1, keepdim=True).clamp(
            min=1e-20
        ) + UNIFORM_SHARE / ctf.shape[1]
        probability = self.count * wanted
        for _ in range(3):
            probability = probability.clamp(max=1.0)
            probability = probability * (self.count / probability.sum(1, keepdim=True))
        return probability
