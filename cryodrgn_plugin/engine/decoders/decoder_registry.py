"""Which decoders there are: the name that `decoder.kind` takes, and what is made of the settings under it."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..config import RunConfig
from ..config.kinds import DECODER_KINDS, members
from ..errors import ConfigError
from .decoder import Decoder, LinearDecoder

DECODERS: dict[str, type[Decoder]] = members(DECODER_KINDS, __package__)
"""Name to class; the contract tests run over every member."""


def make_decoder(config: RunConfig, box: int) -> Decoder:
    """The untrained decoder that `config.decoder.kind` names, for images of `box` pixels.

    Raises ConfigError for settings that do not suit it.
    """
    return DECODERS[config.decoder.kind].of(config, box)


def restore_decoder(config: RunConfig, box: int, state: dict[str, Tensor]) -> Decoder:
    """The decoder that `config.decoder.kind` names with a state that one had."""
    return DECODERS[config.decoder.kind].restored(config, box, state)


def make_linear_decoder(config: RunConfig, box: int) -> LinearDecoder:
    """The decoder of `config`, for a closed form to fill; what it leaves untouched follows from the seed alone.

    Raises ConfigError for a decoder that closed forms cannot make.
    """
    decoder = linear_decoder(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return decoder.of(config, box)


def linear_decoder(config: RunConfig) -> type[LinearDecoder]:
    """The class of the decoder of `config`. Raises ConfigError for one that closed forms cannot make."""
    kind = config.decoder.kind
    decoder = DECODERS[kind]
    if not issubclass(decoder, LinearDecoder):
        able = kinds(lambda other: issubclass(other, LinearDecoder))
        raise ConfigError(
            f"decoder.kind is {kind}, which the recipe {config.recipe} cannot make: closed forms need maps that are a "
            f"mean plus weighted bases. Set decoder.kind to {able}, or choose a recipe that trains a network."
        )
    return decoder


def has_closed_form(config: RunConfig) -> bool:
    """Whether closed forms can make the decoder of `config`."""
    return issubclass(DECODERS[config.decoder.kind], LinearDecoder)


def kinds(able: Callable[[type[Decoder]], bool]) -> str:
    """The names of the decoders that are `able`, for a sentence."""
    return " or ".join(name for name, decoder in DECODERS.items() if able(decoder))
