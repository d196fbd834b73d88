"""Settings check themselves: one out of range is said in one sentence, whoever gave it."""

from typing import ClassVar

from ..errors import ConfigError
from .setting_record import own_settings


class Settings:
    """Base of the frozen dataclasses of settings: every bound annotated on a field is checked when one is made."""

    section: ClassVar[str] = ""
    """The field of `RunConfig` that holds them; it stands before their names, with a dot."""

    def __init_subclass__(cls, section: str = "") -> None:
        super().__init_subclass__()
        cls.section = section

    def __post_init__(self) -> None:
        for setting in own_settings(type(self)):
            setting.check(getattr(self, setting.field))
        self.check_together()

    def check_together(self) -> None:
        """Raise ConfigError for values that do not go together."""


def require(condition: bool, message: str) -> None:
    """Raise ConfigError with `message` unless the condition holds."""
    if not condition:
        raise ConfigError(message)
