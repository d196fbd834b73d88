"""A coordinate network that another program has trained, evaluated here: cryoDRGN's decoders, whatever their encoding.

    V_z(k) = scale · (deviation · y(q, z) + mean),      q = 2 · extent · k / D,      |q| ≤ extent · √3

y is one Hartley value Re − Im per coefficient, or the pair (Re, Im) of half of the space, whose other half is its
complex conjugate (docs/conventions.md, *How other programs differ*). Which half, and what lies on its border, is as
cryoDRGN evaluates volumes, so that these are its volumes up to the scale, which brings them to the grey scale of the
images. `importing/network_weights.py` makes one from a file.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import ConfigError
from ..imaging.lattice import HalfPlane
from .data_statistics import DataStatistics
from .decoder import Decoder

VOLUME_CHUNK = 16384
"""Coefficients evaluated at a time for a volume; keeps the activations in cache."""
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": functional.relu, "leaky_relu": functional.leaky_relu}


@dataclass(frozen=True)
class NetworkShape:
    """What a network is apart from its numbers; travels as JSON beside them."""

    box: int
    """D of the volumes; the network knows a lattice of D + 1 points a side."""
    z_dim: int
    waves: int
    """Of the encoding; 0 where the network is given the coordinates themselves."""
    width: int
    layers: int
    """Hidden layers after the first."""
    outputs: int
    """1: a Hartley value per coefficient. 2: real and imaginary part."""
    activation: str = "relu"
    extent: float = 0.5
    """Of the lattice along each axis, both ways."""
    radius: float = 0.0
    """Coefficients beyond this many 1/(D · pixel) are 0; 0 keeps all, those in the corners too."""
    whole_plane: bool = False
    """Whether a network that gives pairs is asked for all of the plane k_z = 0, and not for half of it."""
    shrinking: bool = False
    """Whether the limit falls in whole pixels from section to section, as those of cryoDRGN's searches for poses do."""

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS or self.outputs not in (1, 2) or self.box % 2 or self.box < 2:
            raise ValueError(f"a network of the shape {self}")

    def to_json(self) -> dict[str, Any]:
        """As a dictionary of numbers and words."""
        return asdict(self)


class ImportedNetwork(Decoder):
    """Decoder of another program's coordinate network; its parameters are filled by who imports it."""

    def __init__(self, shape: NetworkShape):
        super().__init__()
        self.shape, self.box, self.z_dim = shape, shape.box, shape.z_dim
        self.register_buffer("waves", torch.zeros(shape.waves, 3))
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("deviation", torch.ones(()))
        self.register_buffer("scale", torch.ones(()))
        self.first = nn.Linear(2 * shape.waves or 3, shape.width)
        self.latent = nn.Linear(shape.z_dim, shape.width, bias=False) if shape.z_dim else None
        self.hidden = nn.ModuleList(nn.Linear(shape.width, shape.width) for _ in range(shape.layers))
        self.head = nn.Linear(shape.width, shape.outputs)

    def prepare(self, statistics: DataStatistics) -> None:
        """Raises ConfigError: what is imported has been trained."""
        raise ConfigError("An imported network is not trained here; train the recipe cryodrgn, which makes one alike.")

    def slices(self, z: Tensor | None, rotations: Tensor, lattice: HalfPlane, count: int) -> Tensor:
        freqs = torch.as_tensor(lattice.indices[:count], dtype=rotations.dtype, device=rotations.device)
        coordinates = freqs @ rotations[..., :2, :]
        b, p, f, _ = coordinates.shape
        flat = coordinates.reshape(b, p * f, 3)
        if self.shape.outputs == 1:
            here, there = self._hartley(z, flat), self._hartley(z, -flat)
            values = torch.complex((here + there) / 2, (there - here) / 2)
        else:
            values = torch.complex(*self._parts(z, flat))
        return (values * self.scale).reshape(b, p, f)

    @torch.no_grad()
    def volume(self, z: np.ndarray | None) -> np.ndarray:
        weight = self.first.weight
        latent = None if self.latent is None else torch.as_tensor(z, dtype=weight.dtype, device=weight.device)[None]
        axis = torch.arange(-(self.box // 2), self.box // 2, dtype=weight.dtype, device=weight.device)
        values = torch.empty(self.box**3, dtype=weight.dtype)
        for start in range(0, len(values), VOLUME_CHUNK):
            number = torch.arange(start, min(start + VOLUME_CHUNK, len(values)), device=weight.device)
            planes = (number % self.box, number // self.box % self.box, number // self.box**2)
            k = torch.stack([axis[place] for place in planes], dim=-1)
            values[start : start + len(number)] = self._hartley(latent, k[None])[0].cpu()
        return (from_hartley(values.reshape((self.box,) * 3)) * self.scale.cpu()).numpy()

    def _hartley(self, z: Tensor | None, k: Tensor) -> Tensor:
        """(B, N) Re − Im at k (B, N, 3) in 1/(D · pixel)."""
        if self.shape.outputs == 1:
            return self._limited(k, self._network(z, k)[..., 0]) * self.deviation + self.mean
        real, imaginary = self._parts(z, k)
        return real - imaginary

    def _parts(self, z: Tensor | None, k: Tensor) -> tuple[Tensor, Tensor]:
        """Real and imaginary part at k (B, N, 3), for a network that knows one half of the space."""
        mirrored = k[..., 2] > 0 if self.shape.whole_plane else _beyond(k)
        real, imaginary = self._network(z, torch.where(mirrored[..., None], -k, k)).unbind(-1)
        imaginary = torch.where(mirrored, -imaginary, imaginary)
        return self._limited(k, real) * self.deviation + self.mean, self._limited(k, imaginary) * self.deviation

    def _network(self, z: Tensor | None, k: Tensor) -> Tensor:
        """(B, N, O) outputs at k (B, N, 3)."""
        q = k * (2 * self.shape.extent / self.box)
        if self.shape.waves:
            phases = q @ self.waves.T.to(q.dtype)
            q = torch.cat([torch.cos(phases), torch.sin(phases)], dim=-1)
        activation = ACTIVATIONS[self.shape.activation]
        known = self.first(q)
        hidden = activation(known if self.latent is None else known + self.latent(z)[:, None])
        for layer in self.hidden:
            hidden = activation(layer(hidden))
        return self.head(hidden)

    def _limited(self, k: Tensor, values: Tensor) -> Tensor:
        """Values (B, N) at k (B, N, 3), 0 beyond the radius."""
        if not self.shape.radius:
            return values
        if not self.shape.shrinking:
            return torch.where((k**2).sum(-1) <= self.shape.radius**2, values, 0)
        # Sections are cut off at whole pixels of a lattice whose side is one more than D, without the origin. In which
        # order this is computed, in single precision, decides where a limit falls on a pixel.
        side = self.box + 1
        squared = (2 * self.shape.extent * self.shape.radius / side) ** 2 - (k[..., 2] / self.box) ** 2
        across = (squared.clamp(min=0).double().sqrt().float() * side).floor()
        inside = ((k[..., :2] ** 2).sum(-1) <= across**2) & (k[..., :2] != 0).any(-1)
        return torch.where(inside, values, 0)


def from_hartley(values: Tensor) -> Tensor:
    """(D, D, D) volume `vol[z, y, x]` whose Hartley transform at k = −D/2 … D/2 − 1 is (D, D, D) `values`."""
    spectrum = torch.fft.fftshift(torch.fft.fftn(torch.fft.fftshift(values)))
    return (spectrum.real - spectrum.imag) / values.numel()


def _beyond(k: Tensor) -> Tensor:
    """Which of (…, 3) lie in the half of the space that the network is not asked for: the last of z, y and x that is
    not 0 is positive."""
    x, y, z = k.unbind(-1)
    return (z > 0) | ((z == 0) & ((y > 0) | ((y == 0) & (x > 0))))
