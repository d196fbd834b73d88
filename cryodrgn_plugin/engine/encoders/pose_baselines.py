"""Two simpler ways to poses, kept for comparison: they fail in Zhong's thesis, (table 5.2, section 5.6.3).

Both find rotations only, of centred particles without a latent space.
"""

import math

import torch
from torch import Tensor, nn

from ..config import EncoderConfig
from ..data.batch import ImageBatch
from ..geometry.continuous import random_rotations, rotations_from_six
from .pose_estimate import PoseEncoder, PoseEstimate
from .pose_network import residual_head

INITIAL_SPREAD_RAD = 0.5


class PoseVae(PoseEncoder):
    """A residual MLP from the phase-flipped spectrum to a distribution of rotations: S² × S² and a spread about it.

    Parameters
    ----------
    config : layers and width.
    scale : (F,). What coefficients are multiplied by so that the network reads numbers near one.
    """

    def __init__(self, config: EncoderConfig, scale: Tensor):
        super().__init__()
        self.register_buffer("scale", scale.float())
        self.network = residual_head(2 * len(scale), config, 9)

    def estimate(self, batch: ImageBatch) -> PoseEstimate:
        flipped = batch.spectra * (torch.sign(batch.ctf) * self.scale)
        values = self.network(torch.view_as_real(flipped).flatten(1)).to(self.scale.dtype)
        spread = INITIAL_SPREAD_RAD * torch.exp(values[:, 6:])
        return PoseEstimate(rotations_from_six(values[:, :6]), values.new_zeros(len(values), 2), None, spread)


class FreePoses(PoseEncoder):
    """A rotation of its own for each of `n` particles, random at the start and moved by gradient alone."""

    def __init__(self, n: int, seed: int):
        super().__init__()
        rotations = random_rotations(n, torch.Generator().manual_seed(seed))
        self.six = nn.Embedding(n, 6, _weight=rotations[:, :2].reshape(n, 6).clone(), sparse=True)

    def estimate(self, batch: ImageBatch) -> PoseEstimate:
        values = self.six(batch.index.to(torch.int64))
        return PoseEstimate(rotations_from_six(values), values.new_zeros(len(values), 2), None)

    def sparse_parameters(self) -> list[nn.Parameter]:
        return list(self.six.parameters())


def divergence_from_uniform(spread: Tensor) -> Tensor:
    """(B,) Kullback–Leibler divergence, in nats, of small normal turns (B, 3) from the uniform distribution on SO(3).

    The volume of SO(3) is 8π² where turns are measured in radians; the curvature within the spread is left out, as
    in the Lie-algebra posterior of Falorsi et al. 2018 (arXiv:1807.04689) near its centre.
    """
    entropy = 1.5 * (1 + math.log(2 * math.pi)) + spread.log().sum(-1)
    return math.log(8 * math.pi**2) - entropy
