"""Optimisation sets: which particles and which tomograms of RELION 5 or WarpTools belong together, read and written.

A set is a star file of two names, rlnTomoParticlesFile and rlnTomoTomogramsFile, and maybe more (trajectories,
references), which are kept. Particles may be given without it: sets lie beside them, and lists of a run belong to the
tomograms of the run's own set.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from ..errors import DataError
from .header import read_header
from .particles import ParticleTable, TiltFiles, refuse_volumes
from .reading import WHY, understood
from .stacks import locate_stacks
from .star import read_star
from .star_rows import quoted
from .tilt_rows import TOMOGRAM, tilt_images
from .tomogram_set import read_tomograms, tomogram_names
from .writing import write_text

PARTICLES_FILE, TOMOGRAMS_FILE = "rlnTomoParticlesFile", "rlnTomoTomogramsFile"
STACKS_2D = "rlnTomoSubTomosAre2DStacks"
SET_ENDING = "_optimisation_set"
_MARKS = (b"_rlnTomoParticlesFile", b"_rlnTomoSubTomosAre2DStacks")
_BEGINNING = 2**14
_MOST_BESIDE = 500
"""Star files in a folder that are looked into for an optimisation set."""


def is_tilt_series(path: str | os.PathLike) -> bool:
    """Whether a star file is an optimisation set or a particle set of 2D tilt stacks, from its beginning."""
    return any(mark in _beginning(Path(path)) for mark in _MARKS)


def read_tilt_series(path: str | os.PathLike, folders: list[Path], of_run: Path | None = None) -> ParticleTable:
    """All visible tilt images of an optimisation set.

    Parameters
    ----------
    path : optimisation set, or a particle file whose set is found.
    folders : where the paths in these files may start.
    of_run : what the run was made from that `path` lies in.

    Returns
    -------
    One row per tilt image, particle by particle, with the columns of a RELION 3.1 particle table; rlnTomoParticleName
    tells whose image it is and rlnTomoFrame which tilt, counted from 1.

    Raises
    ------
    DataError : a file or column is missing, or a stack does not have one image per tilt or per visible tilt.
    """
    path = Path(path)
    with understood(f"{path}: cannot be read ({WHY}). Give an optimisation set of RELION 5."):
        return _read(path, folders, of_run)


def write_optimisation_set(tilts: TiltFiles, particle_file: Path, path: Path) -> None:
    """Write an optimisation set of a particle file with the tomograms of `tilts`.

    Paths below the working folder are written as from there, as in a RELION project, and others whole.
    """
    _write(path, {PARTICLES_FILE: _from_here(particle_file), TOMOGRAMS_FILE: _from_here(tilts.tomograms), **tilts.more})


def write_set_of(source: Path, particle_file: Path) -> Path | None:
    """Write beside `particle_file`, a copy of the particle file `source`, a set like that beside `source`.

    Returns where it is, or None where `source` has none.
    """
    if not set_file(source).is_file():
        return None
    _write(
        set_file(particle_file), {**_names_in(read_star(set_file(source))), PARTICLES_FILE: _from_here(particle_file)}
    )
    return set_file(particle_file)


def set_file(particle_file: Path) -> Path:
    """Where the optimisation set of a particle file that we write lies."""
    return particle_file.with_name(f"{particle_file.stem}{SET_ENDING}.star")


def _read(path: Path, folders: list[Path], of_run: Path | None) -> ParticleTable:
    def find(name: str, source: Path) -> Path:
        return _find(name, [*folders, source.absolute().parent, *source.absolute().parent.parents], source)

    tables = read_star(path)
    if not any(PARTICLES_FILE in table for table in tables.values()):
        particles = _particles(path, tables)
        tomogram_file, more = _tomograms_of(particles, find, of_run)
    else:
        named = _names_in(tables)
        for label in (PARTICLES_FILE, TOMOGRAMS_FILE):
            if label not in named:
                raise DataError(f"{path}: an optimisation set names particles and tomograms; {label} is missing.")
        particle_file, tomogram_file = (find(named.pop(label), path) for label in (PARTICLES_FILE, TOMOGRAMS_FILE))
        particles, more = _particles(particle_file, read_star(particle_file)), named
    names = list(dict.fromkeys(particles.column(TOMOGRAM).astype(str)))
    tomograms = read_tomograms(tomogram_file, names, find)
    images = tilt_images(particles, tomograms, _sections(particles, folders))
    files = TiltFiles(particles, images.particle, images.stages, tomogram_file, more)
    return ParticleTable(particles.path, images.frame, particles.optics, particles.tables, tilts=files)


def _write(path: Path, names: dict[str, str]) -> None:
    rows = "".join(f"_{label}   {quoted(value)}\n" for label, value in names.items())
    write_text(path, f"\n# version 50001\n\ndata_\n\n{rows}\n")


def _names_in(tables: dict[str, pd.DataFrame]) -> dict[str, str]:
    """What an optimisation set names, by label."""
    table = next((table for table in tables.values() if PARTICLES_FILE in table), pd.DataFrame())
    return {label: str(table[label].iloc[0]) for label in table}


def _particles(path: Path, tables: dict[str, pd.DataFrame]) -> ParticleTable:
    if "particles" not in tables or "optics" not in tables:
        raise DataError(f"{path}: it lacks data_optics or data_particles. Give RELION 5 tilt-series particles.")
    particles = ParticleTable(path, tables["particles"], tables["optics"], tables)
    refuse_volumes(particles)
    if STACKS_2D in (general := tables.get("general", pd.DataFrame())) and str(general[STACKS_2D].iloc[0]) == "0":
        raise DataError(
            f"{path}: {STACKS_2D} is 0: these are subtomograms, not 2D stacks. Extract the particles as 2D stacks."
        )
    if not particles.n:
        raise DataError(f"{path}: it lists no particles. Select some and export again.")
    return particles


def _sections(particles: ParticleTable, folders: list[Path]) -> dict[str, int]:
    """How many images each stack has, by its name in the particle table."""
    named = list(dict.fromkeys(particles.image_names))
    paths = locate_stacks(named, folders, str(particles.path))
    return {name: read_header(path).shape[0] for name, path in zip(named, paths, strict=True)}


# --- particles without their set ------------------------------------------------------------------------------------


def _tomograms_of(
    particles: ParticleTable, find: Callable[[str, Path], Path], of_run: Path | None
) -> tuple[Path, dict[str, str]]:
    """The tomogram set of particles that were given alone, and what else their optimisation set names.

    Sets beside the particles that name them come first, then that of their run, then tomograms beside them. Where
    there are several they must name one tomogram set.
    """
    needed = set(particles.column(TOMOGRAM).astype(str))
    beside = [file for file in _star_files_beside(particles.path) if _MARKS[0] in _beginning(file)]
    sets = [file for file in beside if _names_particles(file, particles.path)]
    if of_run is not None and not sets and is_tilt_series(of_run):
        if _MARKS[0] not in _beginning(of_run):
            return _tomograms_of(_particles(of_run, read_star(of_run)), find, None)
        sets = [of_run]
    found: dict[Path, dict[str, str]] = {}
    for file in sets:
        named = _names_in(read_star(file))
        if TOMOGRAMS_FILE in named:
            place = find(named[TOMOGRAMS_FILE], file).resolve()
            others = {label: name for label, name in named.items() if label not in (PARTICLES_FILE, TOMOGRAMS_FILE)}
            found.setdefault(place, others)
    if not found:
        likely = (file for file in _star_files_beside(particles.path) if "tomogram" in file.name)
        found = {file: {} for file in likely if needed <= tomogram_names(file)}
    if len(found) != 1:
        many = ", ".join(str(file) for file in found)
        which = f"several could be theirs ({many})" if found else "none lies beside them"
        raise DataError(
            f"{particles.path}: these are tilt-series particles without their tomograms, and {which}. Give the "
            f"optimisation set, whose {PARTICLES_FILE} and {TOMOGRAMS_FILE} name both."
        )
    return next(iter(found.items()))


def _star_files_beside(path: Path) -> list[Path]:
    return sorted(path.absolute().parent.glob("*.star"))[:_MOST_BESIDE]


def _names_particles(file: Path, particles: Path) -> bool:
    """Whether an optimisation set that lies beside a particle file is of that file."""
    return Path(_names_in(read_star(file)).get(PARTICLES_FILE, "")).name == particles.name


def _beginning(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_BEGINNING)
    except OSError:
        return b""


def _find(name: str, folders: list[Path], source: Path) -> Path:
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise DataError(
        f"{source}: {name[:200]}, which it names, is absent. Set root to the project folder that paths start from."
    )


def _from_here(path: Path) -> str:
    """A path as from the working folder, if it lies below it."""
    whole = Path(os.path.abspath(path))
    return whole.relative_to(Path.cwd()).as_posix() if whole.is_relative_to(Path.cwd()) else str(whole)
