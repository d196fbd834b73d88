"""The structural basis: a mean and K basis volumes on a Fourier half-sphere, weighted by a small network of z.

Source: sparse_fourier_backpropagation section 4.2, eq. 3. Storage and slicing are `HalfSphere` and `Backend.mix`;
one fused operation gathers the slice, weights and sums the bases, and its backward touches only the voxels that the
slice touched.
"""

import numpy as np
import torch
from torch import Tensor, nn

from ..imaging.lattice import HalfPlane
from ..slicing.compute import Compute
from ..slicing.sphere import HalfSphere
from .amplitudes import AmplitudeNetwork
from .decoder import LinearDecoder


class BasisDecoder(LinearDecoder):
    """Structural basis decoder.

    Parameters
    ----------
    sphere : where the volumes are stored.
    n_bases : K. 0 is homogeneous reconstruction.
    z_dim : latent dimensions; ignored without bases.
    layers, width : of the network s(z).
    """

    def __init__(self, sphere: HalfSphere, n_bases: int, z_dim: int, layers: int = 3, width: int = 128):
        super().__init__()
        self.sphere, self.box, self.n_bases, self.z_dim = sphere, sphere.box, n_bases, z_dim
        self.coefs = nn.Parameter(torch.zeros(sphere.n_voxels, 2, n_bases + 1))
        self.network = AmplitudeNetwork(z_dim, n_bases, layers, width) if n_bases and z_dim else None

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
        """Take the mean and the bases from (K + 1, D, D, D) volumes."""
        self.coefs.copy_(torch.from_numpy(self.sphere.from_volumes(volumes)))

    @torch.no_grad()
    def randomize(self, generator: torch.Generator, scale: float) -> None:
        """Small random bases (not the mean), so that gradients can tell them apart."""
        noise = torch.randn(self.coefs.shape, generator=generator) * scale
        noise[..., 0] = 0
        noise = torch.from_numpy(self.sphere.symmetrize(noise.numpy()))
        self.coefs.add_(noise.to(self.coefs.device))
