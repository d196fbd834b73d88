"""Particles that are listed twice: under one image name, or at one place of one micrograph.

A copy in the other half-set makes half-maps agree on noise, and a copy in the same one counts its noise twice.
"""

import numpy as np
import pandas as pd

from ..io.particles import ParticleTable
from .verdicts import OK, STOP, WARN, Verdict

PLACE = ("rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY")
ROWS_LISTED = 1000


def check_duplicates(table: ParticleTable) -> Verdict:
    """Whether image names and places are unique, over all particles."""
    names = image_identity(table)
    copies = pd.Series(names).duplicated().to_numpy()
    if copies.any():
        return _same_image(table, names, copies)
    repeated = _repeated_places(table)
    if repeated.any():
        rows = np.flatnonzero(repeated)
        return Verdict(
            "duplicates",
            WARN,
            f"{len(rows):,} particles lie at the coordinates of another on the same micrograph, the first in row "
            f"{rows[0] + 1:,}; remove duplicates unless the particle was meant to be extracted twice.",
            {"same_place": len(rows), "rows": rows[:ROWS_LISTED].tolist()},
        )
    where = " and every place on a micrograph" if _has_places(table) else ""
    return Verdict("duplicates", OK, f"Every image{where} is listed once.", {"same_image": 0, "same_place": 0})


def image_identity(table: ParticleTable) -> np.ndarray:
    """(N,) int64. Equal for rows that name the same image of the same stack, however its number is padded."""
    parts = pd.Series(table.image_names, dtype=str).str.rpartition("@")
    number = parts[0].str.lstrip("0")
    return pd.factorize(number + "@" + parts[2])[0].astype(np.int64)


def _same_image(table: ParticleTable, names: np.ndarray, copies: np.ndarray) -> Verdict:
    times = np.bincount(names)
    first = int(np.flatnonzero(copies)[0])
    figures = {"same_image": int(copies.sum()), "rows": np.flatnonzero(copies)[:ROWS_LISTED].tolist()}
    if _split_between_halves(table, names):
        return Verdict(
            "duplicates",
            STOP,
            f"{copies.sum():,} rows list an image again (the first is row {first + 1:,}) and copies are in both "
            "half-sets of rlnRandomSubset, so the halves agree on noise; remove the copies or put them into one half.",
            figures,
        )
    if (times == times[0]).all():
        return Verdict(
            "duplicates",
            WARN,
            f"Every image is listed {times[0]} times, as after symmetry expansion; if that was not intended, remove "
            "the copies.",
            figures,
        )
    return Verdict(
        "duplicates",
        WARN,
        f"{copies.sum():,} of {table.n:,} rows list an image again, the first is row {first + 1:,}; remove the copies, "
        "for their noise counts twice.",
        figures,
    )


def _split_between_halves(table: ParticleTable, names: np.ndarray) -> bool:
    if "rlnRandomSubset" not in table.frame:
        return False
    halves = table.frame["rlnRandomSubset"].groupby(names).nunique()
    return bool((halves > 1).any())


def _has_places(table: ParticleTable) -> bool:
    return all(name in table.frame for name in PLACE)


def _repeated_places(table: ParticleTable) -> np.ndarray:
    """(N,) bool. Rows whose micrograph and coordinates, to a tenth of a pixel, an earlier row has; without them none.

    A tilt series shows a particle at one place in each of its images: there the tilt tells rows apart.
    """
    if not _has_places(table):
        return np.zeros(table.n, bool)
    keys = pd.DataFrame({name: table.frame[name] for name in PLACE})
    for name in PLACE[1:]:
        keys[name] = table.numbers(name, missing_ok=True).round(1)
    if "rlnTomoNominalStageTiltAngle" in table.frame:
        keys["tilt"] = table.frame["rlnTomoNominalStageTiltAngle"]
    if keys[list(PLACE[1:])].nunique().max() <= 1:
        return np.zeros(table.n, bool)  # a placeholder, such as 0, is no place
    return keys.duplicated().to_numpy()
