"""Options made from annotated dataclasses of settings, so that every setting can be given and none can drift.

An option is called as its setting is, `--umap_limit` or `--training.batch_size`; hyphens count as underscores. A switch
takes yes or no, `--umap no`; bare it means yes, and `--no-umap` is the same as no. What is given stays in words until
the settings are made of it, so that a wrong value is explained alike by every front.
"""

import argparse
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, get_origin

from ..config import Setting, build, explained, settings_of
from ..config.building import NO, YES

METAVARS = {bool: "yes|no", int: "N", float: "X"}
_PREFIX = "setting "
"""Keeps what is given apart from a command's own arguments, which may have the same names."""


class Switch(argparse.Action):
    """An option that takes yes or no, and means yes where neither follows."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        setattr(namespace, self.dest, values)


def add_option(parser: Any, setting: Setting, spelling: str = "", text: str = "") -> None:
    """Add the option of one setting to a parser or a group.

    `spelling` is an earlier name that is understood too; `text` is the help where the setting does not say it itself.
    """
    names = list(dict.fromkeys([setting.name, setting.name.replace("_", "-"), *([spelling] if spelling else [])]))
    shared: dict[str, Any] = {"dest": _PREFIX + setting.name, "default": argparse.SUPPRESS}
    how: dict[str, Any] = {"metavar": "|".join(setting.choices) or METAVARS.get(setting.kind, "TEXT")}
    if setting.kind is bool:
        how |= {"action": Switch, "nargs": "?", "const": "yes"}
        negated = [f"--no-{name}" for name in names]
        parser.add_argument(*negated, action="store_const", const="no", help=argparse.SUPPRESS, **shared)
    elif get_origin(setting.kind) is tuple:
        how |= {"nargs": 2, "metavar": ("LOW", "HIGH")}
    shown, *others = names
    parser.add_argument(f"--{shown}", help=(text or explained(setting)).replace("%", "%%"), **shared, **how)
    for name in others:
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS, **shared, **how)


def add_options(parser: Any, options: type) -> None:
    """Add one option per setting of the dataclass `options`."""
    for setting in settings_of(options).values():
        add_option(parser, setting)


def given_options(args: argparse.Namespace) -> dict[str, Any]:
    """Names and words of all settings that were given as options."""
    return {name.removeprefix(_PREFIX): value for name, value in vars(args).items() if name.startswith(_PREFIX)}


def chosen_options(args: argparse.Namespace, options: type) -> Any:
    """The dataclass `options` with the values that were given.

    Raises ConfigError for a value that it does not allow.
    """
    return build(options, {name: value for name, value in given_options(args).items() if name in settings_of(options)})


def bare_switches_said(parser: argparse.ArgumentParser, words: Sequence[str]) -> Iterator[str]:
    """The words of a command line with `--x=yes` for each bare switch, so that it does not take what follows it."""
    for word, following in pairwise([*words, ""]):
        is_switch = isinstance(parser._option_string_actions.get(word), Switch)
        yield f"{word}=yes" if is_switch and following.lower() not in (*YES, *NO) else word


def as_flags(options: dict[str, Any], source: type) -> list[str]:
    """Options of the dataclass `source` as arguments of its command: those that differ from its defaults."""
    flags = []
    for name, value in options.items():
        flag, default = name.replace("_", "-"), getattr(source, name)
        if value == default:
            continue
        if isinstance(default, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            flags += as_words(flag, str(value))
    return flags


def as_words(name: str, value: str) -> list[str]:
    """An option and its value as arguments: in one word where the value, such as -20,0,14,30, might be an option."""
    return [f"--{name}={value}"] if value.startswith("-") else [f"--{name}", value]
