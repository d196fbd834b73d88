"""Which settings go together in a training of networks, told before anything is read."""

from ..config import RunConfig
from ..decoders.decoder_registry import DECODERS, kinds
from ..encoders.encoder_registry import ENCODERS
from ..errors import ConfigError
from ..poses.strategy_registry import STRATEGIES
from ..ranks import Ranks


def searches(config: RunConfig) -> bool:
    """Whether poses are searched for in training; else the particles bring them."""
    return config.poses.inference in STRATEGIES


def require_consistent(config: RunConfig) -> None:
    """Raises ConfigError for settings of a training of networks that contradict each other."""
    encoder = ENCODERS[config.encoder.kind]
    if config.training.early_stop and not (encoder.generalizes and encoder.images_per_particle == 1):
        raise ConfigError(
            "training.early_stop needs held-out particles, which there are none of with encoder.kind = "
            f"{config.encoder.kind}; set it to 0."
        )
    decoder = DECODERS[config.decoder.kind]
    if config.training.points < 1 and not decoder.takes_points:
        able = kinds(lambda other: other.takes_points)
        raise ConfigError(
            f"training.points is {config.training.points}; only decoder.kind = {able} can use a part of the points."
        )
    decoder.require_consistent(config)
    if config.training.sparse and not decoder.stores_volumes:
        able = kinds(lambda other: other.stores_volumes)
        raise ConfigError(
            f"training.sparse is for decoder.kind = {able}; {config.decoder.kind} has no volumes in storage."
        )
    if searches(config) and config.training.early_stop:
        raise ConfigError(
            "training.early_stop needs held-out particles with poses, which a search for poses does not have; set it "
            "to 0."
        )
    if config.poses.inference not in ("given", *STRATEGIES):
        raise ConfigError(
            f"poses.inference is {config.poses.inference!r}, which the recipe {config.recipe} has no network for; "
            f"choose given or one of {', '.join(STRATEGIES)}, or the recipe ace."
        )


def require_work_for_all(batch_size: int) -> None:
    """Raises ConfigError where a process would have no particle of any batch."""
    count = Ranks.present().count
    if batch_size < count:
        raise ConfigError(
            f"{count} processes share this training, and a batch has {batch_size} particles: start no more processes "
            "than that, or raise training.batch_size."
        )
