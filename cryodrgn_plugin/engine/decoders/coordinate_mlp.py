"""The coordinate network: a function of (spatial frequency, z), evaluated only where an image has coefficients.

    V_z(k) = profile(|k|) · MLP(encoding(k / D), z)

Source: Zhong's thesis, 3.1.1, 4.2.1. Three things make it cheap. z enters once per image, through its own
columns of the first layer. The phases of the encoding on a slice are one product of the (kx, ky) lattice with the two
rotated axes. And one of each pair of coefficients V(k), V(−k) is enough: the network is asked on the half of space
whose first non-zero coordinate is positive, the other half is the complex conjugate. `profile` is the expected
amplitude per shell, so that the network works in units of one.
"""

import math
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from ..config import DecoderConfig, RunConfig
from ..imaging.lattice import HalfPlane
from .amplitudes import ResidualBlock
from .data_statistics import DataStatistics
from .decoder import Decoder
from .encoding import EncodedPoints, make_waves
from .residual_stack import fused_residual_stack, residual_stack

VOLUME_CHUNK = 16384
"""Coefficients evaluated at a time for a volume; keeps the activations in cache."""


class MlpDecoder(Decoder):
    """Coordinate network decoder.

    Parameters
    ----------
    config : layers, width, encoding and output ("hartley": one real value per coefficient; "complex": two, at half the
        work).
    box : D. Coefficients beyond the radius D/2 − 1 are zero.
    z_dim : latent dimensions; 0 is homogeneous reconstruction.
    seed : of the random features and initial weights.
    """

    takes_points = True

    @classmethod
    def of(cls, config: RunConfig, box: int) -> Self:
        return cls(config.decoder, box, config.z_dim, config.seed)

    def __init__(self, config: DecoderConfig, box: int, z_dim: int, seed: int = 0):
        super().__init__()
        self.box, self.z_dim, self.radius = box, z_dim, box // 2 - 1
        self.hartley = config.output == "hartley"
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("waves", make_waves(config.encoding, box, generator))
        self.register_buffer("profile", torch.ones(box // 2 + 1))
        features = 2 * len(self.waves)
        self.first = nn.Linear(features, config.width)
        self.latent = nn.Linear(z_dim, config.width, bias=False) if z_dim else None
        self.blocks = nn.ModuleList(ResidualBlock(config.width) for _ in range(config.layers))
        self.head = nn.Linear(config.width, 1 if self.hartley else 2)
        self._initialize(generator, features + z_dim)

    @torch.no_grad()
    def _initialize(self, generator: torch.Generator, inputs: int) -> None:
        """Uniform in ±1/√inputs, as one first layer that reads features and z together."""
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                fan_in = inputs if layer in (self.first, self.latent) else layer.in_features
                for parameter in layer.parameters(recurse=False):
                    parameter.uniform_(-1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in), generator=generator)

    @torch.no_grad()
    def prepare(self, statistics: DataStatistics) -> None:
        """The network's own values are of size one; shells beyond those of the data are like the last."""
        signal = torch.from_numpy(statistics.signal)
        self.profile[: len(signal)] = signal
        self.profile[len(signal) :] = float(signal[-1])

    def slices(self, z: Tensor | None, rotations: Tensor, lattice: HalfPlane, count: int) -> Tensor:
        freqs = torch.as_tensor(lattice.indices[:count], dtype=rotations.dtype, device=rotations.device)
        return self.slices_at(z, rotations, freqs)

    def slices_at(self, z: Tensor | None, rotations: Tensor, freqs: Tensor) -> Tensor:
        """Slices at chosen points.

        Parameters
        ----------
        z : (B, Z) or None.
        rotations : (B, P, 3, 3).
        freqs : (F, 2), or (B, 1, F, 2) for points of each image's own. Frequencies (kx, ky) in 1/(box · pixel).

        Returns
        -------
        (B, P, F) complex.
        """
        return self._values(z, freqs, rotations[..., :2, :])

    def _values(self, z: Tensor | None, points: Tensor, axes: Tensor) -> Tensor:
        """V_z at `points` (F, d), or (B, 1, F, d) of each image's own, along `axes` (B, P, d, 3) of space; (B, P, F)
        complex. Both in 1/(box · pixel).
        """
        b, p, f = *axes.shape[:2], points.shape[-2]
        shift = self.first.bias.expand(b, -1) if self.latent is None else self.latent(z) + self.first.bias
        shift = shift.repeat_interleave(p, dim=0)
        coordinates = points @ axes
        waves = (axes @ self.waves.T.to(axes.dtype) / self.box).flatten(0, 1)
        if self.hartley:
            here = self._network(self._views(points, b, p), waves, shift)
            there = self._network(self._views(points, b, p), -waves, shift)
            real, imaginary = (here + there) / 2, (there - here) / 2
        else:
            # The conjugate of a coefficient lies at the opposite point, whose phases are the negative ones.
            half = _hemisphere(coordinates)
            asked = self._views(points * half[..., None], b, p)
            real, imaginary = self._network(asked, waves, shift).unbind(-1)
            imaginary = imaginary * half.reshape(b * p, f)
        amplitude = interpolate_shells(self.profile, torch.linalg.vector_norm(coordinates, dim=-1))
        values = torch.complex(real, imaginary).reshape(b, p, f)
        return values * amplitude.to(values.real.dtype)

    @staticmethod
    def _views(points: Tensor, b: int, p: int) -> Tensor:
        """(B · P, F, d)."""
        return points.expand(b, p, *points.shape[-2:]).flatten(0, 1)

    def _network(self, points: Tensor, waves: Tensor, shift: Tensor) -> Tensor:
        """(V, N, d) points whose encodings have (V, d, W) `waves`, and the (V, H) share of z in the first layer →
        (V, N) or (V, N, 2), in the type of `shift`.
        """
        layers = [(block.linear.weight, block.linear.bias) for block in self.blocks]
        parameters = (self.first.weight, shift, layers, self.head.weight, self.head.bias)
        if waves.requires_grad or shift.dtype != torch.float32:
            out = residual_stack(EncodedPoints(points, waves, shift.dtype).all_features(), *parameters)
        else:
            out = fused_residual_stack(EncodedPoints(points, waves, self.compute_dtype), *parameters)
        return out.squeeze(-1) if self.hartley else out

    @torch.no_grad()
    def volume(self, z: np.ndarray | None) -> np.ndarray:
        weight = self.first.weight
        latent = None if self.latent is None else torch.as_tensor(z, dtype=weight.dtype, device=weight.device)[None]
        space = torch.eye(3, dtype=weight.dtype, device=weight.device)[None, None]
        index = half_sphere_indices(self.box, self.radius)
        values = np.empty(len(index), dtype=np.complex128)
        for start in range(0, len(index), VOLUME_CHUNK):
            part = slice(start, start + VOLUME_CHUNK)
            points = torch.as_tensor(index[part], dtype=weight.dtype, device=weight.device)
            values[part] = self._values(latent, points, space)[0, 0].cpu().numpy()
        return volume_from_half_sphere(self.box, index, values)


def _hemisphere(coordinates: Tensor) -> Tensor:
    """The sign of the first non-zero coordinate of (..., 3); 0 at the origin, whose coefficient is real."""
    x, y, z = torch.sign(coordinates).unbind(-1)
    return torch.where(x != 0, x, torch.where(y != 0, y, z))


def interpolate_shells(profile: Tensor, radius: Tensor) -> Tensor:
    """Linear interpolation of (n_shells,) values at any radius in 1/(box · pixel)."""
    radius = radius.clamp(max=len(profile) - 1 - 1e-4)
    shell = radius.floor().long()
    return torch.lerp(profile[shell], profile[shell + 1], (radius - shell).to(profile.dtype))


def half_sphere_indices(box: int, radius: float) -> np.ndarray:
    """(M, 3) int. One of each pair ±(kx, ky, kz) inside `radius`: its first non-zero coordinate is positive."""
    k = np.arange(-(box // 2 - 1), box // 2)
    kx, ky, kz = np.meshgrid(k[k >= 0], k, k, indexing="ij")
    index = np.stack([kx.ravel(), ky.ravel(), kz.ravel()], axis=1)
    index = index[(index**2).sum(1) <= radius**2 + 1e-9]
    x, y, z = index.T
    return index[(x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z >= 0))))]


def volume_from_half_sphere(box: int, index: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(D, D, D) float32 `vol[z, y, x]` from the coefficients at `half_sphere_indices`, origin at D//2."""
    full = np.zeros((box, box, box // 2 + 1), dtype=np.complex128)
    kx, ky, kz = index.T
    values = values * (1.0 - 2.0 * ((kx + ky + kz) % 2))
    plane = kx == 0
    full[-kz[plane], -ky[plane], 0] = np.conj(values[plane])
    full[kz, ky, kx] = values
    return np.fft.irfftn(full, s=(box, box, box), axes=(0, 1, 2)).astype(np.float32)
