"""Command-line options made from the configuration, so that every setting can be given and none can drift.

`--training.epochs 5`, or `--set training.epochs=5` any number of times. Help and defaults are the config's own.
"""

import argparse
from collections.abc import Collection
from typing import Any

from ..config import RECIPES, setting, setting_names
from ..errors import ConfigError

SECTIONS = {
    "": "general settings",
    "data": "particles (--data.…)",
    "decoder": "decoder: latent coordinates to map (--decoder.…)",
    "encoder": "encoder: image to latent coordinates (--encoder.…)",
    "training": "training of the networks (--training.…)",
    "closed_form": "closed forms of the fast recipe (--closed_form.…)",
    "poses": "search for poses (--poses.…)",
    "ab_initio": "reconstruction without given poses (--ab_initio.…)",
}

GIVEN_ELSEWHERE = ("particles", "recipe")
"""Settings that the command has its own arguments for."""

_PREFIX = "setting "


def add_settings(parser: argparse.ArgumentParser, names: Collection[str] | None = None) -> None:
    """One option per setting (or per setting in `names`), grouped by section, and --set."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting by name, as --set training.epochs=5; may be repeated",
    )
    groups: dict[str, Any] = {}
    for name in setting_names():
        if name in GIVEN_ELSEWHERE or (names is not None and name not in names):
            continue
        section = name.rpartition(".")[0]
        if section not in groups:
            groups[section] = parser.add_argument_group(SECTIONS.get(section, section))
        kind, _, text = setting(name)
        groups[section].add_argument(
            *_flags(name),
            dest=_PREFIX + name,
            default=argparse.SUPPRESS,
            metavar={bool: "YES|NO", int: "N", float: "X"}.get(kind, "WORD"),
            help=f"{text} {_defaults(name)}".replace("%", "%%"),
        )


def given_settings(args: argparse.Namespace) -> dict[str, str]:
    """The settings given on the command line, dotted names to words; an option beats --set.

    Raises ConfigError for a --set without an equals sign.
    """
    given: dict[str, str] = {}
    for word in args.set:
        name, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"--set {word} has no value; write --set NAME=VALUE, as in --set training.epochs=5.")
        given[name.strip()] = value.strip()
    options = {name[len(_PREFIX) :]: value for name, value in vars(args).items() if name.startswith(_PREFIX)}
    return {**given, **options}


def _flags(name: str) -> list[str]:
    """The option, and its spelling with hyphens where it has underscores."""
    return list(dict.fromkeys([f"--{name}", f"--{name.replace('_', '-')}"]))


def _defaults(name: str) -> str:
    """`(default 32; paper 128; cryodrgn 8)`."""
    default = setting(name)[1]
    others = [
        f"{recipe} {_word(values[name])}" for recipe, values in RECIPES.items() if values.get(name, default) != default
    ]
    return f"({'; '.join([f'default {_word(default)}', *others])})"


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if value != "" else "empty"
