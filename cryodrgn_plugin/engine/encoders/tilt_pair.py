"""The encoder of tilt pairs: one network reads each image, a second joins what it has read (thesis 3.7.2)."""

from typing import Self

import torch
from torch import Tensor, nn

from ..config import EncoderConfig, RunConfig
from ..data.batch import ImageBatch
from ..decoders.amplitudes import ResidualBlock
from .encoder import Encoder, LatentPosterior


class TiltPairEncoder(Encoder):
    """Residual MLP on each image of a pair, and a short one on both.

    Parameters
    ----------
    config : layers and width of the first network; the second has a quarter of the layers.
    scale : (F,). What coefficients are multiplied by so that the network reads numbers near one.
    z_dim : Z.
    """

    generalizes = True
    images_per_particle = 2

    @classmethod
    def of(cls, config: RunConfig, scale: Tensor, n_particles: int) -> Self:
        return cls(config.encoder, scale, config.z_dim)

    def __init__(self, config: EncoderConfig, scale: Tensor, z_dim: int):
        super().__init__()
        self.z_dim, width = z_dim, config.width
        self.register_buffer("scale", scale.float())
        blocks = [ResidualBlock(width) for _ in range(config.layers)]
        self.single = nn.Sequential(nn.Linear(2 * len(scale), width), nn.ReLU(), *blocks)
        joining = [ResidualBlock(width) for _ in range(max(1, config.layers // 4))]
        self.joint = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), *joining, nn.Linear(width, 2 * z_dim))

    def encode(self, batch: ImageBatch) -> LatentPosterior:
        flipped = batch.spectra * (torch.sign(batch.ctf) * self.scale)
        read = self.single(torch.view_as_real(flipped).flatten(1))
        # The two images of a pair follow one another, so that two rows become one.
        pairs = read.reshape(len(read) // 2, -1)
        mean, log_var = self.joint(pairs).to(self.scale.dtype).chunk(2, dim=1)
        return LatentPosterior(mean, log_var)
