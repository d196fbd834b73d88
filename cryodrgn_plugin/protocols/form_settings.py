"""Form parameters made from the engine's settings, and back: types, menus, defaults, ranges and help are the engine's.

A training setting that some recipe changes is left empty in the form, which means "what the recipe says"; its help
lists those values. A setting that no recipe touches shows its default.
"""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pyworkflow.protocol import params

from ..engine import config
from ..engine.errors import ConfigError

RECIPES = tuple(name for name in config.RECIPES if not config.finds_poses(name))
"""Recipes for particles with poses, in the order of the form; Scipion stores the place, so new ones go to the end."""

POSE_RECIPES = tuple(name for name in config.RECIPES if config.finds_poses(name))
"""Recipes that find poses, in the order of the form."""

RECIPE_LABELS = {
    "fast": "closed forms, no network (fast)",
    "paper": "sparse Fourier backpropagation (paper)",
    "cryodrgn": "coordinate network (cryodrgn)",
    "homogeneous": "one map (homogeneous)",
    "cryofold": "an atomic model bent by bonds (cryofold)",
    "atoms": "an atomic model moved by beads (atoms)",
    "refined_atoms": "an atomic model whose motion was found (refined_atoms)",
    "abinitio": "voxel maps in closed form (abinitio)",
    "cryodrgn2": "coordinate network, searched (cryodrgn2)",
    "bnb": "coordinate network, branch and bound (bnb)",
    "ace": "poses read off by a network (ace)",
}
"""What the recipes do, for the menu; whoever types one uses the word in brackets."""

RECIPE_CHOICE = "recipe's choice"

_PARAM_TYPES = {int: params.IntParam, float: params.FloatParam, str: params.StringParam, bool: params.BooleanParam}


@dataclass(frozen=True)
class FormSetting:
    """One engine setting in a form."""

    param: str
    """Name of the form parameter."""
    setting: str
    """Name of the setting: dotted in a run's configuration, or a field of `source`."""
    label: str
    source: type = config.RunConfig
    """The configuration class that explains the setting."""
    expert: bool = False
    recipes: tuple[str, ...] = RECIPES
    """The recipes in which a training's parameter is shown."""
    menu: tuple[str, ...] = RECIPES
    """The recipes that the form offers."""
    condition: str | None = None

    @property
    def choices(self) -> tuple[str, ...]:
        """The texts of a menu, in its order; empty for numbers, text and yes/no."""
        return self._explained.choices

    def add_to(self, form) -> None:
        """Add the parameter to a form, a section or a group."""
        kind, default = self._explained.kind, self._default()
        options: dict[str, Any] = {"label": self.label, "help": self._help()}
        if self._shown_when():
            options["condition"] = self._shown_when()
        if self.expert:
            options["expertLevel"] = params.LEVEL_ADVANCED
        if self.choices:
            first = 0 if self.by_recipe else self.choices.index(default)
            form.addParam(self.param, params.EnumParam, choices=self._menu(), default=first, **options)
        elif self.by_recipe:
            form.addParam(self.param, _PARAM_TYPES[kind], default=None, allowsNull=True, **options)
        else:
            form.addParam(self.param, _PARAM_TYPES[kind], default=default, **options)

    def value(self, protocol) -> Any:
        """The value chosen in the form, or None where the recipe decides."""
        value = protocol.getAttributeValue(self.param)
        if not self.choices:
            return value
        chosen = self._menu()[value]
        return None if chosen == RECIPE_CHOICE else chosen

    @property
    def by_recipe(self) -> bool:
        """Whether the recipes that show this setting differ in it."""
        return self.source is config.RunConfig and len(set(self._recipe_values())) > 1

    def _shown_when(self) -> str | None:
        conditions = [self.condition] if self.condition else []
        if self.recipes != self.menu:
            conditions.append(f"recipe in {[self.menu.index(recipe) for recipe in self.recipes]}")
        return " and ".join(conditions) or None

    @property
    def _explained(self) -> config.Setting:
        return config.setting(self.setting, self.source)

    def _recipe_values(self) -> list[Any]:
        return list(config.recipe_values(self._explained, self.recipes).values())

    def _default(self) -> Any:
        return self._recipe_values()[0] if self.source is config.RunConfig else self._explained.default

    def _menu(self) -> list[str]:
        return [RECIPE_CHOICE, *self.choices] if self.by_recipe else list(self.choices)

    def _help(self) -> str:
        text, allowed = self._explained.help, self._explained.range
        names_a_choice = text.split()[0].strip(",:") in self.choices
        lines = [text if names_a_choice else text[0].upper() + text[1:]]
        if allowed:
            lines.append(f"Allowed: {allowed}.")
        if self.by_recipe:
            values = zip(self.recipes, map(config.word, self._recipe_values()), strict=True)
            lines.append(f"Left to the recipe unless given here: {', '.join(map(' '.join, values))}.")
        return "\n".join(lines)


def chosen(protocol, settings: Iterable[FormSetting]) -> dict[str, Any]:
    """Names and values of the settings that the form determines; hidden ones and the recipe's are absent."""
    values = {item.setting: item.value(protocol) for item in settings if protocol.evalParamCondition(item.param)}
    return {name: value for name, value in values.items() if value is not None}


def typed(text: str | None) -> dict[str, str]:
    """Settings typed as `section.name=value`, separated by spaces or lines.

    Raises ConfigError for a word without an equals sign.
    """
    overrides = {}
    for word in shlex.split(text or ""):
        name, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"{word!r} is no setting; write section.name=value, such as training.points=0.5.")
        overrides[config.same_name(name)] = value
    return overrides


def as_arguments(overrides: dict[str, Any]) -> list[str]:
    """The settings as arguments of the engine's command line."""
    return [word for name, value in sorted(overrides.items()) for word in ("--set", f"{name}={value}")]
