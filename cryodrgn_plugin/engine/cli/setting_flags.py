"""The settings of a run on the command line: `--training.epochs 5`, or `--set training.epochs=5` repeated at will."""

import argparse
from collections.abc import Collection
from typing import Any

from ..config import RunConfig, same_name, settings_of
from ..errors import ConfigError
from .option_flags import add_option, given_options

SECTIONS = {
    "": "general settings",
    "data": "particles (--data.…)",
    "decoder": "decoder: latent coordinates to map (--decoder.…)",
    "encoder": "encoder: image to latent coordinates (--encoder.…)",
    "training": "training of the networks (--training.…)",
    "closed_form": "closed forms of the fast recipe (--closed_form.…)",
    "poses": "search for poses (--poses.…)",
    "ab_initio": "reconstruction without given poses (--ab_initio.…)",
    "amortized": "a network that reads poses off images (--amortized.…)",
    "atoms": "an atomic model that moves (--atoms.…)",
}

GIVEN_ELSEWHERE = ("particles", "recipe")
"""Settings that the command has its own arguments for."""


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
    for name, setting in settings_of(RunConfig).items():
        if name in GIVEN_ELSEWHERE or (names is not None and name not in names):
            continue
        section = name.rpartition(".")[0]
        if section not in groups:
            groups[section] = parser.add_argument_group(SECTIONS.get(section, section))
        add_option(groups[section], setting, "passthrough" if name == "data.passthrough" else "")


def given_settings(args: argparse.Namespace) -> dict[str, str]:
    """The settings given on the command line, dotted names to words; an option beats --set.

    Raises ConfigError for a --set without an equals sign.
    """
    settings: dict[str, str] = {}
    for word in args.set:
        name, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"--set {word} has no value; write --set NAME=VALUE, as in --set training.epochs=5.")
        settings[same_name(name)] = value.strip()
    options = {name: value for name, value in given_options(args).items() if name in settings_of(RunConfig)}
    return {**settings, **options}
