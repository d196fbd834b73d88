"""Which encoders there are: the name that `encoder.kind` takes, and how one is made from the settings."""

from collections.abc import Callable

from torch import Tensor

from ..config import RunConfig
from ..config.kinds import ENCODER_KINDS
from .encoder import Encoder
from .image_mlp import MlpEncoder
from .table import LatentTable
from .tilt_pair import TiltPairEncoder


def _mlp(config: RunConfig, scale: Tensor, n_particles: int) -> Encoder:
    return MlpEncoder(config.encoder, scale, config.z_dim)


def _table(config: RunConfig, scale: Tensor, n_particles: int) -> Encoder:
    return LatentTable(n_particles, config.z_dim)


def _tilt_pair(config: RunConfig, scale: Tensor, n_particles: int) -> Encoder:
    return TiltPairEncoder(config.encoder, scale, config.z_dim)


ENCODERS: dict[str, Callable[[RunConfig, Tensor, int], Encoder]] = {
    "mlp": _mlp,
    "table": _table,
    "tilt_pair": _tilt_pair,
}
"""Name to maker; the contract tests run over every member."""
assert tuple(ENCODERS) == ENCODER_KINDS, "the settings offer what is registered"


def make_encoder(config: RunConfig, scale: Tensor, n_particles: int) -> Encoder | None:
    """The untrained encoder that `config.encoder.kind` names, or None without latent dimensions.

    Parameters
    ----------
    scale : (F,). What coefficients are multiplied by so that a network reads numbers near one.
    n_particles : how many particles a table holds.
    """
    if not config.z_dim:
        return None
    return ENCODERS[config.encoder.kind](config, scale, n_particles)
