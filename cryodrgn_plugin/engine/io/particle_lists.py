"""Particle lists that go back to RELION: of single images as tables, of tilt series as particles with their set.

A particle of a tilt series is one row, however many images it has: its own line of the file it came from, every byte of
it, but for values that a run has found. Beside it lies an optimisation set, which RELION 5 reads it by.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..geometry.rotations import angular_distance_deg, euler_from_matrices, matrices_from_euler
from .chosen_rows import particle_lines
from .found_poses import DEFOCUS, STAR_ROW, tables_with
from .optimisation_set import set_file, write_optimisation_set
from .particles import EULER, ParticleTable, TiltFiles
from .star import write_star
from .tilt_rows import FRAME, ORIGINS, PARTICLE
from .tomogram_set import DOSE, OPTICS
from .writing import replacing

_OF_IMAGES = {"rlnImageName", *EULER, *ORIGINS, *OPTICS, DOSE, FRAME, PARTICLE}
"""Columns of tilt images that are not, or not in this form, in their particle file."""
_SAME_TURN = 1e-4
"""Largest difference of the elements of two rotations that are the same but for how they were written."""


def write_particles(path: Path, table: ParticleTable, frame: pd.DataFrame, final: Path | None = None) -> Path | None:
    """Write some rows of a table, with columns added or changed, as a particle file that RELION reads.

    Parameters
    ----------
    frame : rows of `table`, with other columns than those it had.
    final : where the file will lie in the end, if not at `path`.

    Returns
    -------
    The optimisation set written beside it, of tilt series; else None.

    Raises
    ------
    DataError : the files of a tilt series have changed since, or nothing can be written.
    """
    if table.tilts is None:
        write_star(path, tables_with(table, frame))
        return None
    places = _places(table, frame)
    rows, first = np.unique(table.tilts.particle[places], return_index=True)
    lines = particle_lines(table.tilts.particles)
    values = _found(table, frame, places) | _poses(table.tilts, frame, places)
    with replacing(path) as temporary:
        temporary.write_bytes(lines.text(rows, {name: _spread(column[first], rows) for name, column in values.items()}))
    write_optimisation_set(table.tilts, final or path, set_file(path))
    return set_file(path)


def write_posed(path: Path, table: ParticleTable, posed: pd.DataFrame, particles_path: Path) -> list[str]:
    """Write all blocks of a file with the particles `posed` in place of its own; of tilt series, their particles too.

    Parameters
    ----------
    posed : rows of `table` with the poses found (`found_poses.posed_frame`); of tilt series they are images.
    particles_path : where the particles of tilt series go, with an optimisation set beside them.

    Returns
    -------
    Of tilt series a sentence that says how far the images lie from where the particles are, which is in `path` alone.
    """
    write_star(path, tables_with(table, posed))
    if table.tilts is None:
        return []
    frame = posed.drop(columns=[STAR_ROW], errors="ignore")
    write_particles(particles_path, table, frame)
    places = _places(table, frame)
    fit = _fitted(table.tilts, frame, places)
    moved = [name for name in DEFOCUS if name in frame and not _equal(frame[name], table.frame[name], places)]
    more = ", nor the defocus found of each" if moved else ""
    sentence = (
        f"{particles_path.name} has a row for each of {len(fit.euler_deg):,} particles, where their tilt images "
        f"together put them; that images lie {fit.off_ang:.2f} Å and {fit.off_deg:.2f}° from there (root mean square) "
        f"it does not say{more}: {path.name} does, a row for each image."
    )
    return [sentence]


def _places(table: ParticleTable, frame: pd.DataFrame) -> np.ndarray:
    """(n,) row of `table` of each row of `frame`: the particle and the tilt tell."""
    key = [PARTICLE, FRAME]
    return pd.MultiIndex.from_frame(table.frame[key]).get_indexer(pd.MultiIndex.from_frame(frame[key]))


def _found(table: ParticleTable, frame: pd.DataFrame, places: np.ndarray) -> dict[str, np.ndarray]:
    """Name to (n,) values of columns that are new, or other than those of the file."""
    own = [name for name in frame if name not in _OF_IMAGES]
    changed = [name for name in own if name not in table.frame or not _equal(frame[name], table.frame[name], places)]
    return {name: frame[name].to_numpy() for name in changed}


def _equal(now: pd.Series, before: pd.Series, places: np.ndarray) -> bool:
    return pd.Series(now.to_numpy()).equals(pd.Series(before.to_numpy()[places]))


def _poses(tilts: TiltFiles, frame: pd.DataFrame, places: np.ndarray) -> dict[str, np.ndarray]:
    """Angles and origins of the particles, as text, where images have others than the file's; by the images' rows.

    Where tilt images were moved one by one it is the rotation nearest to all of them, and the origin that fits best.
    """
    stages, particle = tilts.stages[places], tilts.particle[places]
    given = stages @ matrices_from_euler(tilts.particles.euler_deg)[particle]
    views = matrices_from_euler(frame[list(EULER)].to_numpy(np.float64))
    if not np.isfinite(views).all() or np.abs(views - given).max() < _SAME_TURN:
        return {}
    fit = _fitted(tilts, frame, places)
    found = np.concatenate([fit.euler_deg, fit.origins_ang], axis=1)[fit.number]
    names = (*EULER, *ORIGINS)
    return {name: np.array([f"{value:.6f}" for value in column]) for name, column in zip(names, found.T, strict=True)}


@dataclass(frozen=True)
class _Fit:
    """Where P particles are that n tilt images show."""

    number: np.ndarray
    """(n,) int64. The particle of each image, from 0."""
    euler_deg: np.ndarray
    """(P, 3)."""
    origins_ang: np.ndarray
    """(P, 3), in space."""
    off_deg: float
    """How far images are turned from where their particle puts them, root mean square."""
    off_ang: float
    """How far they lie from there."""


def _fitted(tilts: TiltFiles, frame: pd.DataFrame, places: np.ndarray) -> _Fit:
    """Of each particle the rotation nearest to those of its images, and the origin that fits theirs best."""
    stages, (_, number) = tilts.stages[places], np.unique(tilts.particle[places], return_inverse=True)
    views = matrices_from_euler(frame[list(EULER)].to_numpy(np.float64))
    sums = np.zeros((number.max() + 1, 3, 3))
    np.add.at(sums, number, np.swapaxes(stages, 1, 2) @ views)
    left, _, right = np.linalg.svd(sums)
    left[:, :, 2] *= np.linalg.det(left @ right)[:, None]
    turns = left @ right
    upper, shown_at = stages[:, :2], frame[list(ORIGINS[:2])].to_numpy(np.float64)
    normal, aim = np.zeros_like(sums), np.zeros((len(sums), 3))
    np.add.at(normal, number, np.swapaxes(upper, 1, 2) @ upper)
    np.add.at(aim, number, np.einsum("nij,ni->nj", upper, shown_at))
    origins = np.einsum("nij,nj->ni", np.linalg.pinv(normal, rcond=1e-6), aim)
    off_deg = angular_distance_deg(views, stages @ turns[number])
    off_ang = np.linalg.norm(shown_at - np.einsum("nij,nj->ni", upper, origins[number]), axis=1)
    rms = [float(np.sqrt(np.square(values).mean())) for values in (off_deg, off_ang)]
    return _Fit(number, euler_from_matrices(turns), origins, *rms)


def _spread(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Values of the particles at `rows`, at their places among all up to the last of them."""
    spread = np.empty(rows[-1] + 1, dtype=values.dtype)
    spread[rows] = values
    return spread
