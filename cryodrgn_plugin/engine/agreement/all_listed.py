"""One list of the particles of several files, each as it stood in its own: with no pose that a run has found."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from ..io.particles import ParticleTable

GROUP, GROUP_NAME = "rlnOpticsGroup", "rlnOpticsGroupName"


def all_listed(files: Sequence[tuple[ParticleTable, np.ndarray]]) -> tuple[ParticleTable, pd.DataFrame, np.ndarray]:
    """The N particles that stand in any of some files, in one table.

    Parameters
    ----------
    files : tables, and (N,) int the row of each particle in them; negative where it is not there.

    Returns
    -------
    The first table, with all optics groups; its columns of the particles listed; and (n,) which of the N those are, in
    this order. Particles of a file that lacks some of these columns, or has them of another kind (tilt series, optics
    groups or none), are left out unless the first has them.
    """
    base, rows = files[0]
    here = np.flatnonzero(rows >= 0)
    frames, listed = [base.frame.iloc[rows[here]]], [here]
    optics, done = base.optics, rows >= 0
    for table, others in files[1:]:
        new = np.flatnonzero(~done & (others >= 0))
        if not len(new) or not _alike(base, table):
            continue
        frame = table.frame.iloc[others[new]][list(base.frame)]
        if optics is not None:
            optics, number = _with_groups(optics, table.optics)
            frame = frame.assign(**{GROUP: frame[GROUP].map(number)})
        frames.append(frame)
        listed.append(new)
        done[new] = True
    if optics is not base.optics:
        base = replace(base, optics=optics, tables={**base.tables, "optics": optics})
    return base, pd.concat(frames, ignore_index=True), np.concatenate(listed)


def _alike(base: ParticleTable, table: ParticleTable) -> bool:
    """Whether rows of a table can stand among those of another."""
    if base.tilts is not None or table.tilts is not None or (base.optics is None) != (table.optics is None):
        return False
    same_optics = base.optics is None or set(base.optics) == set(table.optics)
    return same_optics and set(base.frame) <= set(table.frame)


def _with_groups(optics: pd.DataFrame, others: pd.DataFrame) -> tuple[pd.DataFrame, dict]:
    """Optics groups and those of another table that are not among them, which get numbers of their own; and the number
    that each of the others has there."""
    says = [name for name in optics if name not in (GROUP, GROUP_NAME)]
    known = {tuple(row): number for number, *row in optics[[GROUP, *says]].itertuples(index=False)}
    numbers: dict = {}
    added: list[pd.DataFrame] = []
    for place, (number, *row) in enumerate(others[[GROUP, *says]].itertuples(index=False)):
        if tuple(row) not in known:
            known[tuple(row)] = int(optics[GROUP].max()) + len(added) + 1
            added.append(others.iloc[[place]].assign(**{GROUP: known[tuple(row)]})[list(optics)])
        numbers[number] = known[tuple(row)]
    return pd.concat([optics, *added], ignore_index=True) if added else optics, numbers
