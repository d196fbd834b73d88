"""What volumes are made of, and what reads latents off images."""

from dataclasses import dataclass
from typing import Annotated

from .bounds import AtLeast, Between, OneOf
from .checks import Settings
from .kinds import DECODER_KINDS, ENCODER_KINDS


@dataclass(frozen=True, kw_only=True)
class DecoderConfig(Settings, section="decoder"):
    kind: Annotated[str, OneOf(*DECODER_KINDS)] = "basis"
    """basis: a mean volume plus a weighted sum of bases on a Fourier grid. mlp: cryoDRGN's coordinate network.
    atoms: an atomic model that moves (atoms.model)."""
    n_bases: Annotated[int, AtLeast(0)] = 16
    """Basis volumes beside the mean (basis only). More can follow larger or more numerous motions and cost time and
    memory in proportion."""
    padding: Annotated[float, Between(1, 3)] = 1.5
    """Oversampling of the Fourier grid (basis only). 1 is the sparse-backpropagation paper's; 2 is RELION's; more is
    more exact and takes padding³ memory."""
    layers: Annotated[int, AtLeast(1)] = 3
    """Residual hidden layers of the network (the coordinate MLP, or the one that turns z into basis weights or into
    motions of an atomic model)."""
    width: Annotated[int, AtLeast(1)] = 256
    """Units per hidden layer. 1024 is cryoDRGN's large setting: finer maps, many times slower."""
    encoding: Annotated[str, OneOf("gaussian", "geometric")] = "gaussian"
    """Positional encoding (mlp only): gaussian random Fourier features, or the geometric series of wavelengths."""
    output: Annotated[str, OneOf("hartley", "complex")] = "hartley"
    """What the coordinate network gives per coefficient (mlp only): one hartley value, or a complex one."""


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(Settings, section="encoder"):
    kind: Annotated[str, OneOf(*ENCODER_KINDS)] = "mlp"
    """mlp: a network reads the image and gives z. table: every particle has its own free z (autodecoder). tilt_pair: a
    network reads both images of a particle of tilt pairs."""
    layers: Annotated[int, AtLeast(1)] = 3
    """Residual hidden layers of the encoder."""
    width: Annotated[int, AtLeast(1)] = 256
    """Units per hidden layer of the encoder."""
