"""Options of a command made from a frozen dataclass of settings: names, defaults and help come from its fields."""

import argparse
from dataclasses import fields
from typing import Any, get_type_hints

from ..config import field_help

METAVAR = {int: "N", float: "X", str: "TEXT"}


def add_options(
    parser: argparse.ArgumentParser, options: type, choices: dict[str, tuple[str, ...]] | None = None
) -> None:
    """Add one option per field of the dataclass `options`; `choices` lists the values that a field may have."""
    hints, help_of, choices = get_type_hints(options), field_help(options), choices or {}
    for field in fields(options):
        name, kind, default, text = field.name, hints[field.name], field.default, help_of[field.name]
        flag = name.replace("_", "-")
        if default is False:
            parser.add_argument(f"--{flag}", dest=name, action="store_true", help=text)
        elif default is True:
            parser.add_argument(f"--no-{flag}", dest=name, action="store_false", help=f"leave this out: {text}")
        else:
            shown = f" (default {default:g})" if kind is float else f" (default {default})" if default != "" else ""
            meta = {"choices": choices[name]} if name in choices else {"metavar": METAVAR[kind]}
            parser.add_argument(f"--{flag}", dest=name, type=kind, default=default, help=text + shown, **meta)


def chosen_options(args: argparse.Namespace, options: type) -> Any:
    """The dataclass `options` with the values that were given."""
    return options(**{field.name: getattr(args, field.name) for field in fields(options)})


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
            flags += [f"--{flag}", str(value)]
    return flags
