"""Settings from plain values, such as those of a JSON file or a command line."""

from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from ..errors import ConfigError


def names_of(cls: type, prefix: str = "") -> list[str]:
    """Dotted names of all settings of a dataclass and its sections, in order."""
    names: list[str] = []
    for f in fields(cls):
        kind = get_type_hints(cls)[f.name]
        names += names_of(kind, f"{prefix}{f.name}.") if is_dataclass(kind) else [prefix + f.name]
    return names


def build(cls: type, values: dict[str, Any]) -> Any:
    """The dataclass `cls` from nested `values`, strings converted to the fields' types.

    Raises ConfigError for an unknown name or a value of another type.
    """
    return _built(cls, values, "", cls)


def _built(cls: type, values: dict[str, Any], prefix: str, root: type) -> Any:
    hints = get_type_hints(cls)
    unknown = set(values) - {f.name for f in fields(cls)}
    if unknown:
        name = prefix + sorted(unknown)[0]
        raise ConfigError(f"There is no setting {name!r}. The settings are: {', '.join(names_of(root))}.")
    built = {}
    for name, value in values.items():
        kind = hints[name]
        section = is_dataclass(kind)
        built[name] = (
            _built(kind, value, f"{prefix}{name}.", root) if section else _converted(value, kind, prefix + name)
        )
    return cls(**built)


def _converted(value: Any, kind: type, name: str) -> Any:
    if kind is bool and isinstance(value, str):
        if value.lower() in ("true", "yes", "1"):
            return True
        if value.lower() in ("false", "no", "0"):
            return False
        raise ConfigError(f"{name} is {value!r}; give yes or no.")
    if kind is int and isinstance(value, float) and not value.is_integer():
        raise ConfigError(f"{name} is {value!r}; it must be a whole number.")
    try:
        return kind(value)
    except (TypeError, ValueError):
        raise ConfigError(f"{name} is {value!r}; it must be of type {kind.__name__}.") from None
