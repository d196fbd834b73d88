"""Where a run's particles came from, and where they lie now, as they are found from where the reader stands."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from .config import RunConfig
from .errors import ConfigError, DataError
from .io.reading import understood
from .run_layout import RunLayout

MOVED = "particles_at"
"""The note in run.json that says where the particles have been moved to."""
IMPORTED = "imported"
"""The note in run.json that says what a run was imported from, where nothing here has trained it."""
ADVICE = "If it was moved, say where it is now with --particles-at, a star file or a folder."


def made_by(config: RunConfig, info: dict[str, Any]) -> str:
    """What has trained a run, in words: its recipe, or what it was imported from as run.json, `info`, says."""
    imported = info.get("notes", {}).get(IMPORTED)
    if not isinstance(imported, dict):
        return f"recipe {config.recipe}"
    if "latents" in imported:
        return f"latents of {Path(str(imported['latents'])).name}, maps solved here"
    return f"imported from {imported.get('from', 'another program')}, epoch {imported.get('epoch', '?')}"


def given_file(folder: Path, config: RunConfig) -> Path:
    """The particle file that the run in `folder` was made from."""
    path = Path(config.particles)
    # Hosts name the file relative to their project, which need not be the working folder of who asks now.
    bases = (Path(), *folder.resolve().parents)
    return next((base / path for base in bases if (base / path).is_file()), path)


def settled(folder: Path, config: RunConfig) -> RunConfig:
    """The settings of the run in `folder`, with particles where a note in run.json says that they are now."""
    try:
        note = json.loads(RunLayout(folder).info_file.read_text(encoding="utf-8"))["notes"][MOVED]
        there = replace(config, particles=str(note["particles"]), root=str(note["root"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return config
    # A note of a place that is gone as well says nothing.
    return there if Path(there.particles).is_file() and (not there.root or Path(there.root).is_dir()) else config


def origin_around(folder: Path) -> tuple[Path, str] | None:
    """Particle file and root of the run that `folder` is or lies in; None outside a run.

    Raises DataError when the run's settings cannot be read.
    """
    home = next((parent for parent in (folder, *folder.parents) if RunLayout(parent).info_file.is_file()), None)
    if home is None:
        return None
    path = RunLayout(home).config_file
    try:
        with understood(f"{path} cannot be read as the settings of a run."):
            config = RunConfig.from_json(path.read_text(encoding="utf-8"))
    except ConfigError as error:
        raise DataError(f"{path} cannot be read as the settings of a run: {error}") from error
    config = settled(home, config)
    return given_file(home, config), config.root
