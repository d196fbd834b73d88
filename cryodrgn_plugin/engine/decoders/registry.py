"""Which decoders there are: the name that `decoder.kind` takes, and how one is made from the settings."""

from collections.abc import Callable

from ..config import RunConfig
from ..slicing.sphere import HalfSphere
from .base import Decoder
from .basis import BasisDecoder
from .mlp import MlpDecoder


def _basis(config: RunConfig, box: int) -> Decoder:
    sphere = HalfSphere(box, config.decoder.padding, box // 2 - 1)
    n_bases = config.decoder.n_bases if config.z_dim else 0
    return BasisDecoder(sphere, n_bases, config.z_dim, config.decoder.layers, config.decoder.width)


def _mlp(config: RunConfig, box: int) -> Decoder:
    return MlpDecoder(config.decoder, box, config.z_dim, config.seed)


DECODERS: dict[str, Callable[[RunConfig, int], Decoder]] = {"basis": _basis, "mlp": _mlp}
"""Name to maker; the contract tests run over every member."""


def make_decoder(config: RunConfig, box: int) -> Decoder:
    """The decoder that `config.decoder.kind` names, for images of `box` pixels."""
    return DECODERS[config.decoder.kind](config, box)
