"""Particle lists that go back to RELION: every original column, the order of the rows, and what the run has found."""

import numpy as np
import pandas as pd

from ..io.found_poses import CLASS, FORMER_CLASS, PROBABILITY
from ..io.particle_lists import write_particles
from ..io.particles import ParticleTable
from ..report_writer import Report

COORDINATE = "cryodrgnCoordinate"


def latent_column(dimension: int) -> str:
    """Name of the column of a latent dimension, counted from 1. RELION keeps columns it does not know."""
    return f"cryodrgnLatent{dimension}"


def particle_list(
    table: ParticleTable,
    rows: np.ndarray,
    z: np.ndarray,
    labels: np.ndarray,
    coordinate: np.ndarray | None,
    probability: np.ndarray | None = None,
) -> pd.DataFrame:
    """The particles of a run as a table in the order of the star file.

    Parameters
    ----------
    table : the particles the run was made from.
    rows : (N,) star row of each particle of the run.
    z, labels, coordinate, probability : (N, Z), (N,) from 0, (N,) or None, (N,) or None.

    Returns
    -------
    N rows: the original columns, then rlnClassNumber (label + 1), its probability, the coordinate and the latents.
    A class number that was there before is kept as `cryodrgnFormerClassNumber`.
    """
    order = np.argsort(rows, kind="stable")
    frame = table.frame.iloc[rows[order]].reset_index(drop=True)
    columns = {CLASS: labels[order] + 1}
    if CLASS in frame and FORMER_CLASS not in frame:
        columns[FORMER_CLASS] = frame[CLASS].to_numpy()
    if probability is not None:
        columns[PROBABILITY] = probability[order]
    if coordinate is not None:
        columns[COORDINATE] = coordinate[order]
    columns |= {latent_column(d + 1): z[order, d] for d in range(z.shape[1])}
    return frame.assign(**columns)


def write_lists(out: Report, table: ParticleTable, frame: pd.DataFrame, n_clusters: int) -> list[str]:
    """Write particles.star and, for each cluster, clusters/cluster_001.star, …, whose names are returned.

    Their other tables are the original's. Of tilt series each has an optimisation set beside it.
    """
    names = [f"clusters/cluster_{number:03d}.star" for number in range(1, n_clusters + 1)]
    lists = {out.relative(out.file("particles", "particles.star")): frame}
    lists |= {name: frame[frame[CLASS] == number] for number, name in enumerate(names, start=1)}
    for name, members in lists.items():
        beside = write_particles(out.folder / name, table, members.reset_index(drop=True), final=out.destination / name)
        if beside is not None:
            out.files[beside.stem] = out.relative(beside)
    return names


def listed(table: ParticleTable, rows: np.ndarray) -> int:
    """How many rows a list of the particles at star rows (n,) has: of tilt series one for all images of a particle."""
    return len(rows) if table.tilts is None else len(np.unique(table.tilts.particle[rows]))
