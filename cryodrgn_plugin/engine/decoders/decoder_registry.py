"""Which decoders there are: the name that `decoder.kind` takes, and how one is made from the settings."""

from collections.abc import Callable

from ..config import RunConfig
from ..config.kinds import DECODER_KINDS
from ..errors import ConfigError
from ..slicing.sphere import HalfSphere
from .basis import BasisDecoder
from .coordinate_mlp import MlpDecoder
from .decoder import Decoder


def _basis(config: RunConfig, box: int) -> Decoder:
    settings = config.decoder
    if bool(settings.n_bases) != bool(config.z_dim):
        raise ConfigError(
            f"decoder.n_bases is {settings.n_bases} and z_dim is {config.z_dim}; for one map set both to 0."
        )
    sphere = HalfSphere(box, settings.padding, box // 2 - 1)
    return BasisDecoder(sphere, settings.n_bases, config.z_dim, settings.layers, settings.width)


def _mlp(config: RunConfig, box: int) -> Decoder:
    return MlpDecoder(config.decoder, box, config.z_dim, config.seed)


DECODERS: dict[str, Callable[[RunConfig, int], Decoder]] = {"basis": _basis, "mlp": _mlp}
"""Name to maker; the contract tests run over every member."""
assert tuple(DECODERS) == DECODER_KINDS, "the settings offer what is registered"


def make_decoder(config: RunConfig, box: int) -> Decoder:
    """The untrained decoder that `config.decoder.kind` names, for images of `box` pixels.

    Raises ConfigError for bases without latent dimensions or the other way round.
    """
    return DECODERS[config.decoder.kind](config, box)
