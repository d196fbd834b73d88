"""How the learning rate and the weight of the prior change with the epochs done, which may be a fraction."""

import math

from ..config import TrainingConfig

LOWEST = 0.01
"""Share of the learning rate left at the end of a cosine schedule."""


def learning_rate(config: TrainingConfig, epochs_done: float) -> float:
    """Constant; cosine, down to a hundredth at the last epoch; or step, a tenth after two thirds."""
    share = min(epochs_done / config.epochs, 1.0)
    if config.schedule == "cosine":
        return config.learning_rate * (LOWEST + (1 - LOWEST) * 0.5 * (1 + math.cos(math.pi * share)))
    if config.schedule == "step":
        return config.learning_rate * (0.1 if share >= 2 / 3 else 1.0)
    return config.learning_rate


def prior_weight(config: TrainingConfig, z_dim: int, epochs_done: float) -> float:
    """β, rising from zero over the warm-up epochs; 1 / z_dim where the config leaves it open (cryoDRGN's choice)."""
    beta = config.beta or 1.0 / max(z_dim, 1)
    return beta * min(epochs_done / config.warmup_epochs, 1.0) if config.warmup_epochs else beta
