"""cryoDRGN's networks in the one form that `decoders/imported_network.py` evaluates.

Their first layer reads sines and cosines of the coordinates, by axis or all together, and z after them; layers of equal
width add what they read. Here cosines come first and skips are part of the weights.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..decoders.imported_network import ImportedNetwork, NetworkShape
from ..errors import DataError

_LAYER = re.compile(r"(.*?)main\.(\d+)\.(linear\.)?(weight|bias)")
MOST_WAVES = 2**16


@dataclass(frozen=True)
class NetworkSettings:
    """What a cryoDRGN training's settings say of its decoder."""

    box: int
    """D; its lattice has D + 1 points a side."""
    z_dim: int
    domain: str
    """hartley or fourier."""
    encoding: str
    """pe_type, such as gaussian or geom_lowf."""
    waves_by_axis: int
    """pe_dim."""
    activation: str
    mean: float
    deviation: float
    """Of the Hartley transforms of its images."""
    extent: float = 0.5
    radius: float | None = None
    """Of the sphere that a search for poses has come to; None for trainings with given poses."""


def network_of(state: Mapping[str, Tensor], settings: NetworkSettings, source: str) -> ImportedNetwork:
    """The decoder whose parameters are among `state`, an encoder's beside them; `source` names the file in messages.

    Raises DataError for an encoding that is not known, and where the parameters are not those of the settings.
    """
    layers = _layers(state, source)
    waves = encoding_waves(state, settings, source)
    (first, bias), *others = layers
    head, head_bias = others.pop()
    shape = _shape(settings, len(waves), first, len(others), head, source)
    read = shape.z_dim + (2 * shape.waves or 3)
    if first.shape[1] != read:
        raise DataError(
            f"{source}: its decoder reads {first.shape[1]} values where config.yaml describes {read} "
            f"({settings.encoding}, {shape.waves} waves, z of {shape.z_dim}). Give weights and config.yaml of one run."
        )
    columns = _columns(settings, len(waves))
    network = ImportedNetwork(shape)
    filled = {"waves": waves, "first.weight": first[:, columns], "first.bias": bias}
    filled |= {"head.weight": head, "head.bias": head_bias}
    filled |= {"mean": torch.tensor(settings.mean), "deviation": torch.tensor(settings.deviation)}
    if shape.z_dim:
        filled["latent.weight"] = first[:, len(columns) :]
    for number, (weight, offset) in enumerate(others):
        filled |= {f"hidden.{number}.weight": weight, f"hidden.{number}.bias": offset}
    try:
        network.load_state_dict({**filled, "scale": network.scale})
    except RuntimeError:
        raise DataError(f"{source}: the layers of its decoder do not fit each other; it is damaged.") from None
    if not all(torch.isfinite(value).all() for value in filled.values()):
        raise DataError(f"{source}: its decoder holds numbers that are not finite; take an earlier epoch.")
    return network.eval()


def _shape(
    settings: NetworkSettings, waves: int, first: Tensor, layers: int, head: Tensor, source: str
) -> NetworkShape:
    outputs = 1 if settings.domain == "hartley" else 2
    if len(head) != outputs:
        raise DataError(f"{source}: its decoder gives {len(head)} values where config.yaml says {settings.domain}.")
    radius = settings.radius
    if radius is None:
        radius = 0.0 if outputs == 1 else settings.box / 2
    names: dict[str, Any] = {"activation": settings.activation, "extent": settings.extent, "radius": radius}
    names |= {"whole_plane": settings.encoding == "none", "shrinking": settings.radius is not None}
    return NetworkShape(settings.box, settings.z_dim, waves, len(first), layers, outputs, **names)


def _layers(state: Mapping[str, Tensor], source: str) -> list[tuple[Tensor, Tensor]]:
    """Weight (O, I) and bias (O,) of each layer of the decoder, skips folded into the weights."""
    found: dict[int, dict[str, Tensor]] = {}
    for name, value in state.items():
        match = _LAYER.fullmatch(name)
        if match and "encoder" not in match[1]:
            part = found.setdefault(int(match[2]), {})
            part[match[4]] = value.float()
            part |= {"skip": value.new_ones(())} if match[3] else {}
    complete = all({"weight", "bias"} <= set(part) and part["weight"].ndim == 2 for part in found.values())
    if len(found) < 2 or not complete:
        raise DataError(f"{source}: it holds no decoder of cryoDRGN's. Give weights.pkl of a training.")
    layers = []
    for number in sorted(found):
        weight, bias = found[number]["weight"], found[number]["bias"]
        layers.append((weight + torch.eye(*weight.shape) if "skip" in found[number] else weight, bias))
    return layers


def encoding_waves(state: Mapping[str, Tensor], settings: NetworkSettings, source: str = "config.yaml") -> Tensor:
    """(W, 3) wave vectors of an encoding, in radian per unit of q; none where coordinates go in as they are.

    geom_…: wavelengths of a geometric series along each axis, from 2/D or 4π/D to 1 or 2π (thesis eq. 3.3 and its
    variants). linear_lowf: the frequencies 1, 2, … D/2. gaussian: drawn at random, and stored with the weights.
    """
    half, name = settings.box // 2, settings.encoding
    if name == "none":
        return torch.zeros(0, 3)
    if name == "gaussian":
        drawn = next((value for key, value in state.items() if key.endswith("rand_freqs")), None)
        if drawn is None or drawn.ndim != 2 or drawn.shape[1] != 3:
            raise DataError(f"{source}: it holds no rand_freqs, which the encoding gaussian needs.")
        return drawn.float() * half
    ends = {
        "geom_ft": (settings.box * torch.pi, 2 * torch.pi),
        "geom_full": (settings.box * torch.pi, 1.0),
        "geom_lowf": (float(half), 1.0),
        "geom_nohighf": (float(half), 2 * torch.pi),
    }
    if name == "linear_lowf":
        lengths = torch.arange(1, half + 1).float()
    elif name in ends and 2 <= settings.waves_by_axis < MOST_WAVES:
        highest, lowest = ends[name]
        steps = torch.arange(settings.waves_by_axis).float() / (settings.waves_by_axis - 1)
        lengths = highest * (lowest / highest) ** steps
    else:
        known = "gaussian, linear_lowf, none, " + ", ".join(ends)
        raise DataError(
            f"{source}: the positional encoding {name} with {settings.waves_by_axis} frequencies is not known; "
            f"{known} are."
        )
    waves = torch.zeros(3, len(lengths), 3)
    for axis in range(3):
        waves[axis, :, axis] = lengths
    return waves.reshape(-1, 3)


def _columns(settings: NetworkSettings, waves: int) -> Tensor:
    """(2W,) the column of the first layer that reads each cosine, then each sine; (3,) without an encoding."""
    if not waves:
        return torch.arange(3)
    at_once = waves if settings.encoding == "gaussian" else waves // 3
    number = torch.arange(waves)
    sines = number // at_once * 2 * at_once + number % at_once
    return torch.cat([sines + at_once, sines])
