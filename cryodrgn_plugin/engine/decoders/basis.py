"""The structural basis: a mean and K basis volumes on a Fourier half-sphere, weighted by a small network of z.

Source: sparse_fourier_backpropagation section 4.2, eq. 3. Storage and slicing are `HalfSphere` and `Backend.mix`;
one fused operation gathers the slice, weights and sums the bases, and its backward touches only the voxels that the
slice touched.
"""

from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from ..config import RunConfig
from ..errors import ConfigError
from ..imaging.lattice import HalfPlane
from ..slicing.compute import Compute
from ..slicing.sphere import HalfSphere
from .amplitudes import AmplitudeNetwork
from .data_statistics import DataStatistics
from .decoder import LinearDecoder
from .normalized import ShellScaled, SpectrallyNormalized

INITIAL_BASES = 0.01
"""Size of the random bases at the start."""


class BasisDecoder(LinearDecoder, ShellScaled):
    """Structural basis decoder.

    Parameters
    ----------
    sphere : where the volumes are stored.
    n_bases : K. 0 is homogeneous reconstruction.
    z_dim : latent dimensions; ignored without bases.
    layers, width : of the network s(z).
    """

    stores_volumes = True

    @classmethod
    def of(cls, config: RunConfig, box: int) -> Self:
        cls.require_consistent(config)
        settings = config.decoder
        if settings.n_bases and not config.z_dim:
            raise ConfigError(
                f"decoder.n_bases is {settings.n_bases} and z_dim is {config.z_dim}; for one map set both to 0."
            )
        sphere = HalfSphere(box, settings.padding, box // 2 - 1)
        return cls(sphere, settings.n_bases, config.z_dim, settings.layers, settings.width)

    @classmethod
    def require_consistent(cls, config: RunConfig) -> None:
        if config.z_dim and not config.decoder.n_bases:
            raise ConfigError(
                "decoder.n_bases is 0 but z_dim is not; without bases z changes nothing. Set z_dim to 0 too."
            )

    def __init__(self, sphere: HalfSphere, n_bases: int, z_dim: int, layers: int = 3, width: int = 128):
        super().__init__()
        self.sphere, self.box, self.n_bases, self.z_dim = sphere, sphere.box, n_bases, z_dim
        self.coefs = nn.Parameter(torch.zeros(sphere.n_voxels, 2, n_bases + 1))
        self.network = AmplitudeNetwork(z_dim, n_bases, layers, width) if n_bases and z_dim else None

    def prepare(self, statistics: DataStatistics) -> None:
        self.randomize(torch.Generator().manual_seed(statistics.seed), INITIAL_BASES)

    def for_training(self, statistics: DataStatistics) -> SpectrallyNormalized:
        return SpectrallyNormalized(self, statistics.spectrum)

    def stored_volumes(self) -> list[nn.Parameter]:
        return [self.coefs]

    def amplitudes(self, z: Tensor | None) -> Tensor:
        if self.network is None:
            return torch.ones(1 if z is None else len(z), 1, device=self.coefs.device)
        weights = self.network(z)
        return torch.cat([torch.ones_like(weights[:, :1]), weights], dim=1)

    def slices(self, z: Tensor | None, rotations: Tensor, lattice: HalfPlane, count: int) -> Tensor:
        b, p = rotations.shape[:2]
        backend = Compute.on(self.coefs.device, dtype=self.coefs.dtype).backend(self.sphere, lattice)
        amplitudes = self.amplitudes(z).expand(b, -1).repeat_interleave(p, dim=0)
        flat = backend.mix(self.coefs, amplitudes, rotations.reshape(b * p, 3, 3), count)
        return flat.reshape(b, p, count)

    @torch.no_grad()
    def volume(self, z: np.ndarray | None) -> np.ndarray:
        latent = None if z is None or self.network is None else torch.as_tensor(z, dtype=torch.float32)[None]
        summed = (self.coefs.cpu() @ self.amplitudes(latent).cpu()[0])[..., None]
        return self.sphere.to_volumes(summed.numpy())[0]

    @torch.no_grad()
    def basis_volumes(self) -> np.ndarray:
        return self.sphere.to_volumes(self.coefs.cpu().numpy())

    @torch.no_grad()
    def set_volumes(self, volumes: np.ndarray) -> None:
        self.coefs.copy_(torch.from_numpy(self.sphere.from_volumes(volumes)))

    @torch.no_grad()
    def set_coefficients(self, sphere: HalfSphere, coefs: np.ndarray) -> None:
        if sphere == self.sphere:
            self.coefs.copy_(torch.from_numpy(coefs))
        else:
            super().set_coefficients(sphere, coefs)

    @torch.no_grad()
    def scale_shells(self, factors: Tensor) -> None:
        shells = np.minimum(self.sphere.shells, len(factors) - 1)
        self.coefs.mul_(factors[torch.as_tensor(shells, device=factors.device).long()][:, None, None])

    @torch.no_grad()
    def randomize(self, generator: torch.Generator, scale: float) -> None:
        """Small random bases (not the mean), so that gradients can tell them apart."""
        noise = torch.randn(self.coefs.shape, generator=generator) * scale
        noise[..., 0] = 0
        noise = torch.from_numpy(self.sphere.symmetrize(noise.numpy()))
        self.coefs.add_(noise.to(self.coefs.device))
