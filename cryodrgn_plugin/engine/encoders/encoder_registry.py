"""Which encoders there are: the name that `encoder.kind` takes, and what is made of the settings under it."""

from torch import Tensor

from ..config import RunConfig
from ..config.kinds import ENCODER_KINDS, members
from .encoder import Encoder

ENCODERS: dict[str, type[Encoder]] = members(ENCODER_KINDS, __package__)
"""Name to class; the contract tests run over every member."""


def make_encoder(config: RunConfig, scale: Tensor, n_particles: int) -> Encoder | None:
    """The untrained encoder that `config.encoder.kind` names, or None without latent dimensions; see `Encoder.of`."""
    if not config.z_dim:
        return None
    return ENCODERS[config.encoder.kind].of(config, scale, n_particles)
