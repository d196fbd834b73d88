"""The amortised encoder of ACE-HetEM: a ResNet-18 trunk with three heads, for rotation, shift and z.

Source: ace_hetem section 4 and figure 8. The text does not say how a rotation is written; six numbers are used here
(`geometry.continuous`). Images are brought to real space with their phases flipped, so that protein is white at all
frequencies the CTF turned over, inside the circular window, and to a standard deviation of one each.
"""

import torch
from torch import nn

from ..config import EncoderConfig
from ..data.batch import ImageBatch
from ..decoders.amplitudes import ResidualBlock
from ..geometry.continuous import rotations_from_six
from ..imaging.lattice import HalfPlane
from ..imaging.preprocess import soft_window
from ..imaging.real_space import RealSpace
from .encoder import LatentPosterior
from .pose_estimate import PoseEncoder, PoseEstimate
from .resnet import ResNet18


class PoseNetwork(PoseEncoder):
    """Image → rotation, shift and posterior of z.

    Parameters
    ----------
    config : layers and width of the heads.
    lattice : of the spectra.
    window : radius of the circular window, which the images have already and views of a model need.
    trunk_width : channels of the first stage of the trunk.
    shift_unit_ang : what the shift head gives is in this unit, so that its numbers are near one.
    z_dim : Z; 0 without a z head.
    """

    def __init__(
        self,
        config: EncoderConfig,
        lattice: HalfPlane,
        window: float,
        trunk_width: int,
        shift_unit_ang: float,
        z_dim: int,
    ):
        super().__init__()
        self.register_buffer("window", torch.from_numpy(soft_window(lattice.box, window)), persistent=False)
        self.images, self.shift_unit_ang = RealSpace(lattice), shift_unit_ang
        self.trunk = ResNet18(1, trunk_width).to(memory_format=torch.channels_last)
        features = self.trunk.features(lattice.box)
        self.rotation = residual_head(features, config, 6)
        self.shift = residual_head(features, config, 2)
        self.latent = residual_head(features, config, 2 * z_dim) if z_dim else None
        nn.init.zeros_(self.shift[-1].weight)
        nn.init.zeros_(self.shift[-1].bias)

    def estimate(self, batch: ImageBatch) -> PoseEstimate:
        images = self.images(batch.spectra * torch.sign(batch.ctf)) * self.window
        images = images / images.std(dim=(1, 2), keepdim=True).clamp(min=torch.finfo(images.dtype).tiny)
        features = self.trunk(images[:, None])
        latent = None
        if self.latent is not None:
            latent = LatentPosterior(*self.latent(features).to(images.dtype).chunk(2, dim=1))
        return PoseEstimate(
            rotations_from_six(self.rotation(features).to(images.dtype)),
            self.shift(features).to(images.dtype) * self.shift_unit_ang,
            latent,
        )


def residual_head(inputs: int, config: EncoderConfig, outputs: int) -> nn.Sequential:
    """A residual network from features (B, inputs) to (B, outputs)."""
    hidden = [ResidualBlock(config.width) for _ in range(config.layers - 1)]
    return nn.Sequential(nn.Linear(inputs, config.width), nn.ReLU(), *hidden, nn.Linear(config.width, outputs))
