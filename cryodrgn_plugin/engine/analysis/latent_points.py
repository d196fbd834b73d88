"""Points of the latent space that a user names: rows of the star file, or a file of coordinates."""

from pathlib import Path

import numpy as np

from ..errors import ConfigError, DataError
from ..io.arrays import read_arrays, read_npy_file
from ..io.reading import WHY, understood
from ..latents import Latents


def particles_at(latents: Latents, words: str, where: str) -> np.ndarray:
    """Index (n,) among the particles of a run of the star rows listed in `words`, in that order.

    Raises DataError when one of them is not among the particles; `where` names the run.
    """
    index_of_row = {int(row): k for k, row in enumerate(latents.rows)}
    rows = parse_rows(words)
    absent = [row for row in rows if row not in index_of_row]
    if absent:
        raise DataError(
            f"Particle {absent[0]} is not in {where}: it holds {len(index_of_row):,} particles, "
            f"rows {int(latents.rows.min())} to {int(latents.rows.max())}."
        )
    return np.array([index_of_row[row] for row in rows])


def parse_rows(words: str) -> list[int]:
    """`0,17,40-42` as [0, 17, 40, 41, 42].

    Raises ConfigError for what is no row, and for more than a map could be asked for.
    """
    rows: list[int] = []
    for word in words.split(","):
        first, dash, last = word.strip().partition("-")
        try:
            span = range(int(first), int(last) + 1) if dash else range(int(first), int(first) + 1)
        except ValueError:
            raise ConfigError(f"--particles has {word.strip()[:50]!r}; give rows as 0,17,42 or 0-9.") from None
        # The length of a span may be larger than what len can say.
        if len(rows) + span.stop - span.start > MOST_ROWS:
            raise ConfigError(f"--particles {words[:50]} names more than {MOST_ROWS:,} particles; give fewer.")
        rows += span
    if not rows:
        raise ConfigError(f"--particles {words} names no particle; give rows as 0,17,42 or 0-9.")
    return rows


MOST_ROWS = 100_000
"""Particles that can be named one by one."""
_ADVICE = "Give latent coordinates, one point a line."


def read_points(path: str, z_dim: int) -> np.ndarray:
    """Latent coordinates (n, Z) from a text, .npy or .npz file; a single row or, with Z = 1, column is understood.

    Raises DataError when the file cannot be read, holds no finite numbers or points of another dimension.
    """
    if not Path(path).exists():
        raise DataError(f"There is no file {path}.")
    with understood(f"{path} cannot be read as latent coordinates ({WHY}). {_ADVICE}"), np.errstate(over="ignore"):
        if path.endswith(".npz"):
            z = read_arrays(Path(path), "z")["z"]
        else:
            z = read_npy_file(path, _ADVICE) if path.endswith(".npy") else np.loadtxt(path, ndmin=2)
        z = np.asarray(z, np.float32)
    if z.ndim == 1:
        z = z[:, None] if z_dim == 1 else z[None]
    if z.ndim != 2 or z.shape[1] != z_dim or len(z) == 0:
        raise DataError(f"{path} holds points of shape {z.shape}; the run's latent space needs (n, {z_dim}).")
    if not np.isfinite(z).all():
        raise DataError(f"{path} holds numbers that are not finite.")
    return z
