"""A setting out of range, said in one sentence."""

from ..errors import ConfigError


def require(condition: bool, message: str) -> None:
    """Raise ConfigError with `message` unless the condition holds."""
    if not condition:
        raise ConfigError(message)
