"""The latent table: every particle has its own free z (autodecoder), fitted with the decoder and read by nobody."""

from typing import Self

import torch
from torch import Tensor, nn

from ..config import RunConfig
from ..data.batch import ImageBatch
from .encoder import Encoder, LatentPosterior

INITIAL_LOG_VARIANCE = -4.0
"""Posteriors start narrow, so that the first gradients of z are not drowned in sampling noise."""


class LatentTable(Encoder):
    """Mean and log-variance of z for each of `n` particles, addressed by `batch.index`; gradients touch only the rows
    used.
    """

    generalizes = False

    @classmethod
    def of(cls, config: RunConfig, scale: Tensor, n_particles: int) -> Self:
        return cls(n_particles, config.z_dim)

    def __init__(self, n: int, z_dim: int):
        super().__init__()
        self.z_dim = z_dim
        self.mean = nn.Embedding(n, z_dim, sparse=True)
        self.log_var = nn.Embedding(n, z_dim, sparse=True)
        nn.init.normal_(self.mean.weight, std=0.1)
        nn.init.constant_(self.log_var.weight, INITIAL_LOG_VARIANCE)

    @torch.no_grad()
    def begin(self, z: Tensor, log_variance: float) -> None:
        """Start at z (n, Z), all as little in doubt."""
        self.mean.weight.copy_(z)
        self.log_var.weight.fill_(log_variance)

    def encode(self, batch: ImageBatch) -> LatentPosterior:
        index = batch.index.to(torch.int64)
        return LatentPosterior(self.mean(index), self.log_var(index))

    def sparse_parameters(self) -> list[nn.Parameter]:
        return [*self.mean.parameters(), *self.log_var.parameters()]
