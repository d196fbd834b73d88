"""Particle star files that go back to RELION: every original column and row order, plus clusters and latents.

RELION keeps columns it does not know, so the latents travel as columns of their own (`cdrgLatent1`, …) through later
jobs. The cluster goes into rlnClassNumber, which RELION's Select and Display understand.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from ..engine.errors import DataError
from ..engine.io.star import read_star, write_star
from ..engine.run import Latents

CLASS_COLUMN = "rlnClassNumber"


class ParticleFiles:
    """The tables of the input star file with what the run has found about each particle.

    Parameters
    ----------
    star : the run's input.
    latents : of the particles that the run used; other rows are left out.
    labels : (N,) clusters 0 … k-1 of the same particles, or None to leave rlnClassNumber as it is.
    """

    def __init__(self, star: Path, latents: Latents, labels: np.ndarray | None = None) -> None:
        self._tables = read_star(star)
        self._block = _particle_block(self._tables, star)
        particles = self._tables[self._block].iloc[latents.rows].reset_index(drop=True)
        self._labels = labels
        self._particles = _with_columns(particles, latent_columns(latents, labels))

    def __len__(self) -> int:
        return len(self._particles)

    def write_all(self, path: Path) -> None:
        """Every particle that has latents, in the input's order."""
        self._write(path, self._particles)

    def write_cluster(self, path: Path, cluster: int) -> int:
        """The particles of one cluster (0 … k-1), in the input's order; returns how many."""
        members = self._particles[self._labels == cluster]
        self._write(path, members)
        return len(members)

    def _write(self, path: Path, particles: pd.DataFrame) -> None:
        write_star(path, {**self._tables, self._block: particles})


def latent_columns(latents: Latents, labels: np.ndarray | None) -> dict[str, np.ndarray]:
    """Column name to values, for what is known of each particle."""
    columns: dict[str, np.ndarray] = {} if labels is None else {CLASS_COLUMN: labels + 1}
    columns |= {f"cdrgLatent{axis + 1}": latents.z[:, axis] for axis in range(latents.z.shape[1])}
    if latents.coordinate is not None:
        columns["cdrgCoordinate"] = latents.coordinate
    if latents.uncertainty is not None:
        columns["cdrgUncertainty"] = latents.uncertainty
    return columns


def _with_columns(particles: pd.DataFrame, columns: dict[str, np.ndarray]) -> pd.DataFrame:
    """A copy with `columns` added at the end, or replaced where they stand (an earlier job's latents go)."""
    stale = [name for name in particles.columns if name.startswith("cdrg") and name not in columns]
    added = {name: values for name, values in columns.items() if name not in particles}
    kept = particles.drop(columns=stale).assign(**{n: v for n, v in columns.items() if n not in added})
    return pd.concat([kept, pd.DataFrame(added, index=kept.index)], axis=1)


def _particle_block(tables: dict[str, pd.DataFrame], star: Path) -> str:
    for name, table in tables.items():
        if "rlnImageName" in table:
            return name
    raise DataError(f"{star}: no table has a column rlnImageName, so these are not particles.")
