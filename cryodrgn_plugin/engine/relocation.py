"""Particles that were moved after training, found where the user says that they are now."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from .config import RunConfig
from .errors import DataError
from .io.stacks import locate_stacks
from .io.tables import read_table
from .run_origin import given_file


def moved(folder: Path, config: RunConfig, place: Path) -> RunConfig:
    """The settings of the run in `folder` when its particles lie at `place`: their file, or a folder that it or its
    stacks lie in, with the folders around them or without.

    Raises DataError when there is nothing at `place`, or neither the particle file nor its stacks.
    """
    if place.is_file():
        return replace(config, particles=str(place), root=_root(config))
    if not place.is_dir():
        raise DataError(f"There is no file or folder {place}; give the particle file or the folder it lies in.")
    star = next((end for end in _ends(place, Path(config.particles)) if end.is_file()), None)
    if star is not None:
        return replace(config, particles=str(star), root=_root(config))
    star = given_file(folder, config)
    if not star.is_file():
        raise DataError(f"{place} has no {Path(config.particles).name}, the particle file of {folder}.")
    return replace(config, particles=str(star), root=str(_stacks_around(star, place, config)))


def noted(config: RunConfig) -> dict[str, str]:
    """What run.json remembers of where particles are."""
    return {"particles": config.particles, "root": config.root}


def _root(config: RunConfig) -> str:
    """The root of image paths, unless it has gone too."""
    return config.root if Path(config.root).is_dir() else ""


def _ends(place: Path, path: Path) -> Iterator[Path]:
    """Below `place`: the path with all folders around it, with fewer and fewer of them, and its name alone."""
    parts = [part for part in path.parts if part not in (path.anchor, "..")]
    return (place.joinpath(*parts[start:]) for start in range(len(parts)))


def _stacks_around(star: Path, place: Path, config: RunConfig) -> Path:
    """The folder from which the first stack of a particle file is found, now that its stacks are below `place`."""
    stack = read_table(star, passthrough=config.data.passthrough).image_names[0].rpartition("@")[2]
    for folder in (place, *_ends(place, Path(config.particles).parent)):
        try:
            locate_stacks([stack], [folder], str(star))
        except DataError:
            continue
        return folder
    raise DataError(f"{place} has neither {star.name}, the particle file of the run, nor its stack {stack}.")
