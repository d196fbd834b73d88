"""model.pt: the trained decoder and encoder with the settings to build them again; loads with weights_only=True."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from ..config import RunConfig
from ..errors import DataError
from ..io.reading import understood
from ..io.torch_files import load_torch, save_torch
from .decoder import Decoder
from .decoder_registry import restore_decoder
from .imported_network import ImportedNetwork, NetworkShape


@dataclass(frozen=True)
class StoredModel:
    """A decoder on the CPU with what is needed to use it."""

    decoder: Decoder
    config: RunConfig
    pixel_size_ang: float
    encoder_state: dict[str, Tensor]
    """Of the network that reads images; empty where a recipe has none."""


def save_model(
    path: Path, config: RunConfig, decoder: Decoder, encoder: nn.Module | None, pixel_size_ang: float
) -> None:
    """Write a decoder made by `make_decoder(config, …)` or imported, in the data's grey scale, and what reads the
    images."""
    content = {
        "kind": config.decoder.kind,
        "config": config.to_json(),
        "box": decoder.box,
        "pixel_size_ang": float(pixel_size_ang),
        "state": {name: value.cpu() for name, value in decoder.state_dict().items()},
        "encoder": {name: value.cpu() for name, value in encoder.state_dict().items()} if encoder else {},
    }
    if isinstance(decoder, ImportedNetwork):
        content["network"] = decoder.shape.to_json()
    save_torch(path, content)


def load_model(path: Path) -> StoredModel:
    """Read what `save_model` wrote. Raises DataError when the file is absent or is something else."""
    if not path.exists():
        raise DataError(f"{path} does not exist: the training has not finished.")
    with understood(f"{path} is not a model of this program."):
        content = load_torch(path)
        config = RunConfig.from_json(content["config"])
        network = content.get("network")
        if network:
            decoder = ImportedNetwork(NetworkShape(**network))
            decoder.load_state_dict(content["state"])
        else:
            decoder = restore_decoder(config, content["box"], content["state"])
        return StoredModel(decoder.eval(), config, float(content["pixel_size_ang"]), dict(content["encoder"]))
