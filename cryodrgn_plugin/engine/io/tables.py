"""Particle tables of any kind of file that is read: RELION star, tilt series of RELION 5, cryoSPARC."""

import os
from pathlib import Path

from ..errors import DataError
from ..run_origin import origin_around
from .cs import passthrough_beside, read_cs
from .csg import files_of_group
from .optimisation_set import is_tilt_series, read_tilt_series
from .particles import ParticleTable, read_particles

GROUP = ".csg"
CRYOSPARC = (".cs", GROUP)


def read_table(path: str | os.PathLike, root: str | os.PathLike = "", passthrough: str = "") -> ParticleTable:
    """The particles of a star file, of tilt series (their tilt images are the particles) or of cryoSPARC.

    `root` is the folder that paths in the file start from; see `search_folders`. `passthrough` says more of
    cryoSPARC's files, see `cryosparc_files`, and nothing of others. Raises DataError.
    """
    path = Path(path)
    if path.suffix in CRYOSPARC:
        first, *others = cryosparc_files(path, passthrough)
        return read_cs(first, others)
    if is_tilt_series(path):
        origin = origin_around(path.absolute().parent)
        return read_tilt_series(path, search_folders(path, root), origin[0] if origin else None)
    return read_particles(path)


def cryosparc_files(path: Path, passthrough: str = "") -> list[Path]:
    """The .cs file of particles and those with more fields of them, of a .cs file or a result group (.csg).

    `passthrough` names the latter, comma-separated, from the working folder or that of `path`. Empty, they are those of
    the group, or lie beside the file or, for lists of a run, beside what the run was made from. Raises DataError.
    """
    first, *others = files_of_group(path) if path.suffix == GROUP else [path]
    if passthrough:
        return [first, *(_given(name.strip(), path) for name in passthrough.split(","))]
    if others or not first.is_file():
        return [first, *others]
    return [first, *_found_passthrough(first)]


def _given(name: str, path: Path) -> Path:
    found = next((place for place in (Path(name), path.parent / name) if place.is_file()), None)
    if found is None:
        raise DataError(f"There is no passthrough file {name}; give the path of the one that belongs to {path}.")
    return found


def _found_passthrough(path: Path) -> list[Path]:
    if beside := passthrough_beside(path, path.parent):
        return beside
    origin = origin_around(path.absolute().parent)
    if not origin or origin[0].suffix not in CRYOSPARC or not origin[0].is_file():
        return []
    of_run = files_of_group(origin[0]) if origin[0].suffix == GROUP else [origin[0]]
    return of_run[1:] or passthrough_beside(path, origin[0].absolute().parent)


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
    # The particles of an imported run lie in it.
    return search_folders(*origin) if origin and origin[0].absolute().parent != folder else []
