"""Settings from plain values, such as those of a JSON file or a command line."""

from collections.abc import Iterable
from typing import Any, get_args, get_origin

from ..errors import ConfigError
from .nearest import nearest_names
from .setting_record import own_settings, sections, settings_of

YES, NO = ("yes", "true", "1"), ("no", "false", "0")
"""Words for a switch; capitals count as small letters."""
LONGEST_NAME = 100
"""Letters of a name that are looked at and shown."""


def build(cls: type, values: dict[str, Any]) -> Any:
    """The dataclass `cls` from nested `values`, strings converted to the fields' types.

    Raises ConfigError for an unknown name, a value of another type, or one out of bounds.
    """
    return _built(cls, values, "", cls)


def no_such_setting(name: str, known: Iterable[str]) -> ConfigError:
    """The error for a mistyped name, with the names nearest to it."""
    near = nearest_names(name[:LONGEST_NAME], known)
    nearest = f"the nearest {'are' if near[1:] else 'is'} {', '.join(near)}"
    return ConfigError(f"There is no setting {name[:LONGEST_NAME]!r}; {nearest}.")


def converted(value: Any, kind: Any, name: str) -> Any:
    """A plain value as the type of a setting.

    Raises ConfigError, naming the setting, for a value that is none of that type.
    """
    if kind is bool and isinstance(value, str):
        return _switch(value, name)
    if get_origin(kind) is tuple and not isinstance(value, list | tuple):
        raise ConfigError(f"{name} is {str(value)[:100]!r}; it must be a list.")
    if get_origin(kind) is tuple:
        return tuple(converted(part, get_args(kind)[0], name) for part in value)
    if kind is int and isinstance(value, float) and not value.is_integer():
        raise ConfigError(f"{name} is {value!r}; it must be a whole number.")
    try:
        return kind(value)
    except (TypeError, ValueError, OverflowError):
        wanted = {int: "a whole number", float: "a number"}.get(kind, f"of type {kind.__name__}")
        raise ConfigError(f"{name} is {str(value)[:100]!r}; it must be {wanted}.") from None


def _built(cls: type, values: dict[str, Any], prefix: str, root: type) -> Any:
    if not isinstance(values, dict):
        raise ConfigError(f"{prefix.rstrip('.') or 'What is given'} is {str(values)[:100]!r} and no set of settings.")
    kinds, inner = {setting.field: setting.kind for setting in own_settings(cls)}, sections(cls)
    if strangers := sorted(set(values) - {*kinds, *inner}):
        raise no_such_setting(prefix + strangers[0], settings_of(root))
    return cls(
        **{
            name: _built(inner[name], value, f"{prefix}{name}.", root)
            if name in inner
            else converted(value, kinds[name], prefix + name)
            for name, value in values.items()
        }
    )


def _switch(text: str, name: str) -> bool:
    if text.lower() not in (*YES, *NO):
        raise ConfigError(f"{name} is {text!r}; give yes or no.")
    return text.lower() in YES
