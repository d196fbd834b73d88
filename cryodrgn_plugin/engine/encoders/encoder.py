"""What an encoder is: images → a Gaussian posterior of z for each."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from ..config import RunConfig
from ..data.batch import ImageBatch
from ..data.step_draws import StepDraws


@dataclass(frozen=True)
class LatentPosterior:
    """q(z | image): independent normal distributions with `mean` and `log_var`, both (B, Z)."""

    mean: Tensor
    log_var: Tensor

    def sample(self, draws: StepDraws) -> Tensor:
        """One draw per image, (B, Z), differentiable in mean and variance."""
        noise = draws.normal(self.mean.shape, self.mean.dtype).to(self.mean.device)
        return self.mean + noise * torch.exp(0.5 * self.log_var)

    def divergence(self) -> Tensor:
        """(B,) Kullback–Leibler divergence from the standard normal prior."""
        return 0.5 * (self.log_var.exp() + self.mean**2 - 1 - self.log_var).sum(-1)


class Encoder(nn.Module, ABC):
    """z of images."""

    z_dim: int
    generalizes: bool
    """Whether it can place a particle that it was not trained on."""
    images_per_particle: int = 1
    """Images that share a particle, one after the other in a batch; there is one posterior for each particle."""

    @classmethod
    @abstractmethod
    def of(cls, config: RunConfig, scale: Tensor, n_particles: int) -> Self:
        """The untrained encoder of these settings.

        Parameters
        ----------
        scale : (F,). What coefficients are multiplied by so that a network reads numbers near one.
        n_particles : how many particles a table holds.
        """

    @abstractmethod
    def encode(self, batch: ImageBatch) -> LatentPosterior:
        """The posterior of each particle of a batch of tensors whose shifts are undone (`ImageFormation.centred`)."""

    def sparse_parameters(self) -> list[nn.Parameter]:
        """Parameters whose gradients are sparse."""
        return []
