"""Particle tables of any kind of file that is read: RELION star, tilt series of RELION 5, cryoSPARC."""

import os
from pathlib import Path

from ..errors import DataError
from ..run_origin import origin_around
from .cs import read_cs
from .optimisation_set import is_tilt_series, read_tilt_series
from .particles import ParticleTable, read_particles


def read_table(path: str | os.PathLike, root: str | os.PathLike = "") -> ParticleTable:
    """The particles of a star file, of an optimisation set (their tilt images are the particles) or of a .cs file.

    `root` is the folder that paths in the file start from; see `search_folders`. Raises DataError.
    """
    path = Path(path)
    if path.suffix == ".cs":
        return read_cs(path)
    if is_tilt_series(path):
        return read_tilt_series(path, search_folders(path, root))
    return read_particles(path)


def search_folders(star: Path, root: str | os.PathLike) -> list[Path]:
    """Where image paths may start: `root` alone if given, else the working folder, the star file's and its parents.

    For a star file inside a run, also where the run found its particles, so that lists of a run find their images.
    """
    if root:
        if not Path(root).is_dir():
            raise DataError(
                f"root is {root}, which is not a folder. Give the project folder that image paths are relative to."
            )
        return [Path(root)]
    folder = star.absolute().parent
    return [Path("."), folder, *folder.parents, *_folders_of_the_run(folder)]


def _folders_of_the_run(folder: Path) -> list[Path]:
    origin = origin_around(folder)
    return search_folders(*origin) if origin else []
