"""Particles that are listed twice: under one image name, or at one place of one micrograph.

A copy in the other half-set makes half-maps agree on noise, and a copy in the same one counts its noise twice.
"""

import numpy as np

from ..data.copies import has_places, image_identity, places, repeated
from ..io.particles import ParticleTable
from ..vetting.verdicts import OK, STOP, WARN, Verdict

ROWS_LISTED = 1000


def check_duplicates(table: ParticleTable) -> Verdict:
    """Whether image names and places are unique, over all particles."""
    names = image_identity(table)
    copies = repeated(names)
    if copies.any():
        return _same_image(table, names, copies)
    again = repeated(places(table))
    if again.any():
        rows = np.flatnonzero(again)
        return Verdict(
            "duplicates",
            WARN,
            f"{len(rows):,} particles lie at the coordinates of another on the same micrograph, the first in row "
            f"{rows[0] + 1:,}; remove duplicates unless the particle was meant to be extracted twice.",
            {"same_place": len(rows), "rows": rows[:ROWS_LISTED].tolist()},
        )
    where = " and every place on a micrograph" if has_places(table) else ""
    return Verdict("duplicates", OK, f"Every image{where} is listed once.", {"same_image": 0, "same_place": 0})


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
