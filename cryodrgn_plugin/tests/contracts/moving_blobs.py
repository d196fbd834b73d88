"""A decoder as docs/extending.md asks for one, in one file: a sum of Gaussian blobs whose places depend on z."""

import math
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from cryodrgn_plugin.engine.config import RunConfig
from cryodrgn_plugin.engine.decoders.data_statistics import DataStatistics
from cryodrgn_plugin.engine.decoders.decoder import Decoder
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane

BLOBS = 48
REACH = 0.25
"""Farthest place along each axis, in boxes: blobs stay inside the box, where slices and volume agree."""
WIDTH = 0.08
"""Of the blobs at the start, in boxes; narrower ones need more pixels than there are."""


class MovingBlobs(Decoder):
    """V_z(k) = Σ_m a_m exp(−2π² σ_m² |k|² / D²) exp(−2πi k·c_m(z) / D), k in 1/(box · pixel), c and σ in pixels."""

    def __init__(self, box: int, z_dim: int, width: int, seed: int):
        super().__init__()
        self.box = box
        generator = torch.Generator().manual_seed(seed)
        self.places = nn.Parameter(torch.rand(BLOBS, 3, generator=generator) * 2 - 1)
        self.heights = nn.Parameter(torch.ones(BLOBS))
        self.log_widths = nn.Parameter(torch.full((BLOBS,), math.log(WIDTH * box)))
        self.register_buffer("scale", torch.ones(()))
        self.motion = nn.Sequential(nn.Linear(z_dim, width), nn.Tanh(), nn.Linear(width, 3 * BLOBS)) if z_dim else None
        with torch.no_grad():
            for parameter in self.motion.parameters() if self.motion else ():
                parameter.copy_(0.3 / math.sqrt(width) * torch.randn(parameter.shape, generator=generator))

    @classmethod
    def of(cls, config: RunConfig, box: int) -> Self:
        return cls(box, config.z_dim, config.decoder.width, config.seed)

    def prepare(self, statistics: DataStatistics) -> None:
        """At the lowest shells all blobs add up to about what the images tell of."""
        self.scale.fill_(float(statistics.signal[1:3].mean()) / BLOBS)

    def slices(self, z: Tensor | None, rotations: Tensor, lattice: HalfPlane, count: int) -> Tensor:
        freqs = torch.as_tensor(lattice.indices[:count], dtype=rotations.dtype, device=rotations.device) / self.box
        phases = -2 * math.pi * (freqs @ rotations[..., :2, :]) @ self.centres(z, len(rotations)).mT[:, None]
        size = torch.exp(-2 * math.pi**2 * freqs.square().sum(1, keepdim=True) * self.log_widths.exp().square())
        heights = self.scale * self.heights * size
        return torch.complex((heights * torch.cos(phases)).sum(-1), (heights * torch.sin(phases)).sum(-1))

    def centres(self, z: Tensor | None, count: int) -> Tensor:
        """(B, M, 3) in pixels from the centre of the box."""
        places = self.places.expand(count, -1, -1)
        if self.motion is not None:
            places = places + self.motion(z).reshape(count, -1, 3)
        return REACH * self.box * torch.tanh(places)

    @torch.no_grad()
    def volume(self, z: np.ndarray | None) -> np.ndarray:
        latent = None if self.motion is None else torch.as_tensor(z, dtype=self.places.dtype)[None]
        axis = torch.arange(self.box, dtype=self.places.dtype) - self.box // 2
        volume = torch.zeros((self.box,) * 3, dtype=self.places.dtype)
        widths, heights = self.log_widths.cpu().exp(), (self.scale * self.heights).cpu()
        for centre, width, height in zip(self.centres(latent, 1)[0].cpu(), widths, heights, strict=True):
            x, y, z_ = (torch.exp(-((axis - c) ** 2) / (2 * width**2)) for c in centre)
            volume += height / (2 * math.pi * width**2) ** 1.5 * z_[:, None, None] * y[:, None] * x
        return volume.float().numpy()
