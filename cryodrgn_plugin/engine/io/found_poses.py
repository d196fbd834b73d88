"""Poses that a run has found, as a particle star file: the original's columns and order of rows, with other angles.

The file has the particles whose poses were found, so that any program reads it as it is. Where those are a part of the
original's, `cryodrgnStarRow` names the original's row of each, from 0.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from ..geometry.rotations import euler_from_matrices
from .particles import EULER, ParticleTable

DEFOCUS = ("rlnDefocusU", "rlnDefocusV")
ORIGINS = ("rlnOriginXAngst", "rlnOriginYAngst")
CLASS = "rlnClassNumber"
PROBABILITY = "cryodrgnClassProbability"
"""That a particle is in its class, where classes are species or separate states."""
AGREEMENT = "cryodrgnClassAgreement"
"""Share of the pairs of runs that agree on a particle's class, where classes are what several runs agree on."""
FORMER_CLASS = "cryodrgnFormerClassNumber"
SCORE = "rlnLogLikeliContribution"
STAR_ROW = "cryodrgnStarRow"
_ORIGINS_PX = ("rlnOriginX", "rlnOriginY")


def posed_frame(
    table: ParticleTable,
    rows: np.ndarray,
    rotations: np.ndarray,
    shifts_ang: np.ndarray,
    species: np.ndarray | None = None,
    score: np.ndarray | None = None,
    defocus_moved_ang: np.ndarray | None = None,
    probability: np.ndarray | None = None,
) -> pd.DataFrame:
    """The particles of `table` at `rows`, in the table's order, with the poses given.

    Parameters
    ----------
    rows : (N,) int. Star rows, in any order.
    rotations : (N, 3, 3). Volume to view.
    shifts_ang : (N, 2). Displacement of the feature, as `table.shifts_ang`.
    species : (N,) int from 0, written as rlnClassNumber from 1; an earlier class number moves to
        `cryodrgnFormerClassNumber`.
    score : (N,). Log-likelihood of each pose, written as rlnLogLikeliContribution.
    defocus_moved_ang : (N,). What is added to rlnDefocusU and rlnDefocusV.
    probability : (N,). That a particle is of its species, written as cryodrgnClassProbability.
    """
    order = np.argsort(rows, kind="stable")
    frame = _without(table.frame.iloc[rows[order]].reset_index(drop=True), *_ORIGINS_PX, STAR_ROW)
    angles = euler_from_matrices(rotations[order])
    columns = dict(
        zip((*EULER, *ORIGINS), (*angles.T, *table.origins_of(rows[order], shifts_ang[order]).T), strict=True)
    )
    if species is not None:
        if CLASS in frame and FORMER_CLASS not in frame:
            columns[FORMER_CLASS] = frame[CLASS].to_numpy()
        columns[CLASS] = species[order] + 1
    if probability is not None:
        columns[PROBABILITY] = probability[order]
    if score is not None:
        columns[SCORE] = score[order]
    if defocus_moved_ang is not None:
        columns |= {name: table.numbers(name)[rows[order]] + defocus_moved_ang[order] for name in DEFOCUS}
    if len(rows) < table.n:
        columns[STAR_ROW] = rows[order]
    return frame.assign(**columns)


def tables_with(table: ParticleTable, frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """All blocks of the file, with `frame` in place of its particles.

    The tilt images of tilt series are in no single block: they become the particles of a table of their own.
    """
    if not any(block is table.frame for block in table.tables.values()):
        optics = {} if table.optics is None else {"optics": table.optics}
        return {**optics, "particles": frame}
    return {name: frame if block is table.frame else block for name, block in table.tables.items()}


def put_back(original: ParticleTable, posed: ParticleTable) -> ParticleTable:
    """All rows of `original` with the poses of `found`; rows that it leaves out have no angles."""
    if STAR_ROW not in posed.frame:
        return replace(posed, tilts=original.tilts)
    columns = [
        name for name in (*EULER, *ORIGINS, CLASS, FORMER_CLASS, PROBABILITY, SCORE, *DEFOCUS) if name in posed.frame
    ]
    placed = posed.frame.set_index(STAR_ROW)[columns].reindex(np.arange(original.n))
    for name in (name for name in DEFOCUS if name in original.frame):
        placed[name] = placed[name].fillna(original.frame[name])
    frame = _without(original.frame, *_ORIGINS_PX).assign(**{name: placed[name].to_numpy() for name in columns})
    return replace(original, frame=frame, tables=tables_with(original, frame))


def _without(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    return frame.drop(columns=[name for name in names if name in frame])
