"""Tilt series of RELION 5 as a table of tilt images: each visible image of a particle is a row with its pose and CTF.

A pseudo-subtomogram stored as a 2D stack holds one image per tilt. Seen from tilt t, a particle with rotation A (its
Euler angles, docs/conventions.md) in a tomogram with projection P_t has the view

    R = P_t Aᵀ,

and its 2D origin is that of the 3D origin projected by P_t. Dose appears as a B-factor of 4 Å² per e⁻/Å², as in M
(Tegunov et al., Nature Methods 2021). Images that were multiplied by their CTF on extraction say so in the optics
table.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import DataError
from ..geometry.rotations import euler_from_matrices, matrices_from_euler
from .header import read_header
from .particles import EULER, ParticleTable, refuse_volumes
from .reading import WHY, understood
from .stacks import locate_stacks
from .star import read_star

B_FACTOR_PER_DOSE = 4.0
_MARKS = (b"_rlnTomoParticlesFile", b"_rlnTomoSubTomosAre2DStacks")
_OPTICS = ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle", "rlnCtfBfactor", "rlnCtfScalefactor")
_SUBTOMOGRAM_ANGLES = ("rlnTomoSubtomogramRot", "rlnTomoSubtomogramTilt", "rlnTomoSubtomogramPsi")


def is_tilt_series(path: str | os.PathLike) -> bool:
    """Whether a star file is an optimisation set or a particle set of 2D tilt stacks, from its beginning."""
    try:
        with open(path, "rb") as file:
            start = file.read(2**14)
    except OSError:
        return False
    return any(mark in start for mark in _MARKS)


def read_tilt_series(path: str | os.PathLike, folders: list[Path]) -> ParticleTable:
    """All visible tilt images of an optimisation set.

    Parameters
    ----------
    path : star file with rlnTomoParticlesFile and rlnTomoTomogramsFile.
    folders : where the paths in it and in the particle table may start.

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
        return _read(path, folders)


def _read(path: Path, folders: list[Path]) -> ParticleTable:
    files = next(iter(read_star(path).values()))
    if not {"rlnTomoParticlesFile", "rlnTomoTomogramsFile"} <= set(files):
        raise DataError(
            f"{path}: these are tilt-series particles without their tomograms. Give the optimisation set, whose "
            "rlnTomoParticlesFile and rlnTomoTomogramsFile name both."
        )
    particle_file, tomogram_file = (
        _find(str(files[name].iloc[0]), folders, path) for name in ("rlnTomoParticlesFile", "rlnTomoTomogramsFile")
    )
    tables = read_star(particle_file)
    if "particles" not in tables or "optics" not in tables:
        raise DataError(
            f"{particle_file}: it lacks data_optics or data_particles. Give RELION 5 tilt-series particles."
        )
    particles = ParticleTable(particle_file, tables["particles"], tables["optics"], tables)
    refuse_volumes(particles)
    frame = _expand(particles, read_star(tomogram_file), tomogram_file, folders)
    return ParticleTable(particle_file, frame, tables["optics"], tables)


def _expand(
    particles: ParticleTable, tomograms: dict[str, pd.DataFrame], tomogram_file: Path, folders: list[Path]
) -> pd.DataFrame:
    if not particles.n:
        raise DataError(f"{particles.path}: it lists no particles. Select some and export again.")
    if particles.euler_deg is None:
        raise DataError(f"{particles.path}: the particles have no poses (columns {', '.join(EULER)}).")
    _refuse_turned_subtomograms(particles)
    stacks = particles.image_names
    named = list(dict.fromkeys(stacks))
    paths = locate_stacks(named, folders, str(particles.path))
    sections = {name: read_header(path).shape[0] for name, path in zip(named, paths, strict=True)}
    names = particles.column("rlnTomoName").to_numpy()
    tilts = {name: _Tilts(name, tomograms, tomogram_file) for name in dict.fromkeys(names)}
    particle, frame, images = [], [], []
    for row, text in enumerate(particles.column("rlnTomoVisibleFrames")):
        visible = _visible_frames(text, row, particles)
        frames = np.flatnonzero(visible)
        counts = (len(frames), len(visible))
        stack, n_tilts = stacks[row], len(tilts[names[row]].projections)
        if len(visible) != n_tilts or sections[stack] not in counts:
            raise DataError(
                f"{particles.path}: particle {row + 1:,} has {counts[0]} visible of {counts[1]} frames, but its stack "
                f"{stack} holds {sections[stack]} images and its tomogram {n_tilts} tilts. Extract it again."
            )
        # A stack holds either all tilts (Warp) or the visible ones only (RELION 5).
        section = frames if sections[stack] == len(visible) else np.arange(len(frames))
        images += [f"{i + 1}@{stack}" for i in section]
        particle.append(np.full(len(frames), row))
        frame.append(frames)
    return _rows(particles, tilts, images, np.concatenate(particle), np.concatenate(frame))


def _rows(
    particles: ParticleTable, tilts: dict[str, "_Tilts"], images: list[str], particle: np.ndarray, frame: np.ndarray
) -> pd.DataFrame:
    """The table of tilt images: `particle` and `frame` number the row and the tilt of each, from 0."""
    names = particles.column("rlnTomoName").to_numpy()[particle]
    origins = np.stack([particles.numbers(f"rlnOrigin{axis}Angst") for axis in "XYZ"], axis=1)[particle]
    rotations = matrices_from_euler(particles.euler_deg)[particle]
    projections = np.stack([tilts[name].projections[i] for name, i in zip(names, frame, strict=True)])
    optics = np.stack([tilts[name].optics[i] for name, i in zip(names, frame, strict=True)])
    angles = euler_from_matrices(projections @ np.swapaxes(rotations, 1, 2))
    shifted = np.einsum("nij,nj->ni", projections[:, :2], origins)
    return pd.DataFrame(
        {
            "rlnImageName": images,
            **dict(zip(EULER, angles.T, strict=True)),
            "rlnOriginXAngst": shifted[:, 0],
            "rlnOriginYAngst": shifted[:, 1],
            **dict(zip(_OPTICS, optics.T, strict=True)),
            "rlnOpticsGroup": particles.column("rlnOpticsGroup").to_numpy()[particle],
            "rlnTomoName": names,
            "rlnTomoParticleName": particles.column("rlnTomoParticleName").to_numpy()[particle],
            "rlnTomoFrame": frame + 1,
        }
    )


class _Tilts:
    """Projections and optics of one tomogram's T tilts."""

    def __init__(self, name: str, tomograms: dict[str, pd.DataFrame], path: Path) -> None:
        if name not in tomograms:
            raise DataError(f"{path}: it has no data_{name}, which the particles name; the two do not belong together.")
        table = tomograms[name]
        projections = [f"rlnTomoProj{axis}" for axis in "XYZ"]
        for column in (*projections, *_OPTICS[:3]):
            if column not in table:
                raise DataError(f"{path}: data_{name} has no column {column}. Give RELION 5 tomograms.")
        rows = [[_numbers(text)[:3] for text in table[column]] for column in projections]
        if any(len(row) != 3 or not np.isfinite(row).all() for column in rows for row in column):
            raise DataError(f"{path}: data_{name} has a projection that is not four numbers, as in [1,0,0,0].")
        self.projections = np.stack(rows, axis=1).reshape(-1, 3, 3)
        """(T, 3, 3): tomogram to view."""
        scale = table["rlnCtfScalefactor"] if "rlnCtfScalefactor" in table else np.ones(len(table))
        dose = table["rlnMicrographPreExposure"] if "rlnMicrographPreExposure" in table else np.zeros(len(table))
        b_factor = B_FACTOR_PER_DOSE * _column(dose, name, path)
        columns = [*(table[column] for column in _OPTICS[:3]), b_factor, scale]
        self.optics = np.stack([_column(values, name, path) for values in columns], axis=1)
        """(T, 5): the columns `_OPTICS`."""


def _column(values: pd.Series | np.ndarray, name: str, path: Path) -> np.ndarray:
    numbers = pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(np.float64)
    if not np.isfinite(numbers).all():
        raise DataError(f"{path}: data_{name} has a row without numbers for the CTF. Give RELION 5 tomograms.")
    return numbers


def _refuse_turned_subtomograms(particles: ParticleTable) -> None:
    for name in _SUBTOMOGRAM_ANGLES:
        if name in particles.frame and particles.numbers(name).any():
            raise DataError(
                f"{particles.path}: {name} is not zero. Subtomograms that were extracted turned are not supported; "
                "extract them again with these angles at zero."
            )


def _visible_frames(text: str, row: int, particles: ParticleTable) -> np.ndarray:
    flags = _numbers(text)
    if not len(flags) or not np.isin(flags, (0, 1)).all() or not flags.any():
        raise DataError(f"{particles.path}: rlnTomoVisibleFrames of row {row + 1:,} is {text!r}; it must list 0 and 1.")
    return flags.astype(bool)


def _numbers(text: str) -> np.ndarray:
    """Numbers of a bracketed list, as in [1,0,0,0]; empty where it is not one."""
    try:
        return np.array([float(word) for word in str(text).strip("[] ").split(",")])
    except ValueError:
        return np.zeros(0)


def _find(name: str, folders: list[Path], source: Path) -> Path:
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise DataError(
        f"{source}: {name[:200]}, which it names, is absent. Set root to the project folder that paths start from."
    )
