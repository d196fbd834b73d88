"""model.pt: the trained decoder and encoder with the settings to build them again; loads with weights_only=True."""

from dataclasses import dataclass
from pathlib import Path

import torch

from ..config import RunConfig
from ..decoders.base import Decoder
from ..decoders.basis import BasisDecoder
from ..decoders.mlp import MlpDecoder
from ..encoders.base import Encoder
from ..errors import ConfigError, DataError
from ..io.atomic import atomic_path
from ..slicing.sphere import HalfSphere


@dataclass(frozen=True)
class StoredModel:
    """A decoder on the CPU with what is needed to use it."""

    decoder: Decoder
    config: RunConfig
    pixel_size_ang: float


def build_decoder(config: RunConfig, box: int) -> Decoder:
    """The decoder of a configuration, untrained.

    Raises ConfigError for bases without latent dimensions or the other way round.
    """
    settings = config.decoder
    if settings.kind == "mlp":
        return MlpDecoder(settings, box, config.z_dim, config.seed)
    if bool(settings.n_bases) != bool(config.z_dim):
        raise ConfigError(
            f"decoder.n_bases is {settings.n_bases} and z_dim is {config.z_dim}; for one map set both to 0."
        )
    sphere = HalfSphere(box, settings.padding, box // 2 - 1)
    return BasisDecoder(sphere, settings.n_bases, config.z_dim, settings.layers, settings.width)


def save_model(path: Path, config: RunConfig, decoder: Decoder, encoder: Encoder | None, pixel_size_ang: float) -> None:
    """Write a decoder made by `build_decoder(config, …)`, in the data's grey scale, and its encoder."""
    content = {
        "kind": config.decoder.kind,
        "config": config.to_json(),
        "box": decoder.box,
        "pixel_size_ang": float(pixel_size_ang),
        "state": {name: value.cpu() for name, value in decoder.state_dict().items()},
        "encoder": {name: value.cpu() for name, value in encoder.state_dict().items()} if encoder else {},
    }
    with atomic_path(path) as temporary:
        torch.save(content, temporary)


def load_model(path: Path) -> StoredModel:
    """Read what `save_model` wrote. Raises DataError when the file is absent or is something else."""
    if not path.exists():
        raise DataError(f"{path} does not exist: the training has not finished.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        config = RunConfig.from_json(content["config"])
        decoder = build_decoder(config, content["box"])
        decoder.load_state_dict(content["state"])
    except (RuntimeError, KeyError, TypeError, EOFError) as error:
        raise DataError(f"{path} is not a model of this program.") from error
    return StoredModel(decoder.eval(), config, content["pixel_size_ang"])
