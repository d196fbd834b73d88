"""The image encoder: a residual network from a centred, phase-flipped spectrum to the posterior of z."""

from typing import Self

import torch
from torch import Tensor, nn

from ..config import EncoderConfig, RunConfig
from ..data.batch import ImageBatch
from ..decoders.amplitudes import ResidualBlock
from .encoder import Encoder, LatentPosterior


class MlpEncoder(Encoder):
    """Residual MLP on the half-plane, real and imaginary parts (Zhong's thesis, 4.2.1, 4.4.5).

    Parameters
    ----------
    config : layers and width.
    scale : (F,). What coefficients are multiplied by so that the network reads numbers near one.
    z_dim : Z.
    """

    generalizes = True

    @classmethod
    def of(cls, config: RunConfig, scale: Tensor, n_particles: int) -> Self:
        return cls(config.encoder, scale, config.z_dim)

    def __init__(self, config: EncoderConfig, scale: Tensor, z_dim: int):
        super().__init__()
        self.z_dim = z_dim
        self.register_buffer("scale", scale.float())
        hidden = [ResidualBlock(config.width) for _ in range(config.layers)]
        self.network = nn.Sequential(nn.Linear(2 * len(scale), config.width), nn.ReLU(), *hidden)
        self.head = nn.Linear(config.width, 2 * z_dim)

    def encode(self, batch: ImageBatch) -> LatentPosterior:
        flipped = batch.spectra * (torch.sign(batch.ctf) * self.scale)
        hidden = self.network(torch.view_as_real(flipped).flatten(1))
        mean, log_var = self.head(hidden).to(self.scale.dtype).chunk(2, dim=1)
        return LatentPosterior(mean, log_var)
