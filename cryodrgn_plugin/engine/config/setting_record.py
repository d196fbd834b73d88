"""One setting, read off its field: name, type, default, explanation and bounds. Every front is made from these."""

from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from ..errors import ConfigError
from .bounds import Bound, Hint, Means, OneOf
from .explanations import field_help


@dataclass(frozen=True)
class Setting:
    owner: type
    """The dataclass that it is a field of."""
    field: str
    kind: Any
    """Its type without annotations: int, float, str, bool, or a tuple of floats."""
    default: Any
    annotations: tuple[Any, ...] = ()
    """Bounds, and what is said about them."""

    @property
    def name(self) -> str:
        """As it is given everywhere: with the section of a run's settings, as training.epochs."""
        section = getattr(self.owner, "section", "")
        return f"{section}.{self.field}" if section else self.field

    @property
    def help(self) -> str:
        """The explanation below the field."""
        explanations = field_help(self.owner)
        assert self.field in explanations, f"{self.owner.__name__}.{self.field} has no explanation below it"
        return explanations[self.field]

    @property
    def bounds(self) -> list[Bound]:
        return [item for item in self.annotations if isinstance(item, Bound)]

    @property
    def choices(self) -> tuple[str, ...]:
        """The words that it may be, in order; empty where it is no choice."""
        return next((bound.words for bound in self.bounds if isinstance(bound, OneOf)), ())

    @property
    def range(self) -> str:
        """The bounds in words, as "even and at least 16, or 0"; empty without any, and for choices."""
        if self.choices or not self.bounds:
            return ""
        outside = [item.value for item in self._meanings if not self._within_bounds(item.value)]
        return " and ".join(bound.phrase for bound in self.bounds) + "".join(f", or {word(value)}" for value in outside)

    @property
    def _meanings(self) -> list[Means]:
        return [item for item in self.annotations if isinstance(item, Means)]

    def check(self, value: Any) -> None:
        """Raise ConfigError, naming the setting, the value and what is allowed, unless the bounds admit the value."""
        if any(value == item.value for item in self._meanings) or self._within_bounds(value):
            return
        demand = " and ".join(bound.phrase for bound in self.bounds)
        besides = "".join(f" ({word(item.value)} {item.meaning})" for item in self._meanings)
        hint = "".join(f": {item.text}" for item in self.annotations if isinstance(item, Hint))
        shown = repr(value) if isinstance(value, str) else value
        raise ConfigError(f"{self.name} is {shown}; {self.bounds[0].verb} {demand}{besides}{hint}.")

    def _within_bounds(self, value: Any) -> bool:
        return all(bound.admits(value) for bound in self.bounds)

    def explained(self, *more: str) -> str:
        """Explanation, default and range, and `more` between these, as "… (default 32; paper 128; at least 1)"."""
        notes = [f"default {word(self.default)}", *more, *([self.range] if self.range else [])]
        return f"{self.help} ({'; '.join(notes)})"


@cache
def own_settings(cls: type) -> tuple[Setting, ...]:
    """The settings that are fields of a dataclass itself, in order; sections are left out."""
    hints = get_type_hints(cls, include_extras=True)
    return tuple(
        _read(cls, field.name, hints[field.name], field.default)
        for field in fields(cls)
        if field.name not in sections(cls)
    )


@cache
def settings_of(cls: type) -> dict[str, Setting]:
    """All settings of a dataclass and its sections by name, in order."""
    own = {setting.field: setting for setting in own_settings(cls)}
    settings: list[Setting] = []
    for field in fields(cls):
        settings += [own[field.name]] if field.name in own else settings_of(sections(cls)[field.name]).values()
    return {setting.name: setting for setting in settings}


@cache
def sections(cls: type) -> dict[str, type]:
    """Field to class of the fields that are settings classes themselves."""
    return {name: kind for name, kind in get_type_hints(cls).items() if is_dataclass(kind)}


def word(value: Any) -> str:
    """A value as it is given in words: yes and no, `empty` for an empty text, numbers with a space between."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(map(word, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value) or "empty"


def _read(cls: type, name: str, hint: Any, default: Any) -> Setting:
    if get_origin(hint) is Annotated:
        kind, *annotations = get_args(hint)
        return Setting(cls, name, kind, default, tuple(annotations))
    return Setting(cls, name, hint, default)
