"""What a training knows of each particle: where it lies in the latent space, and what else was learned of it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import DataError


@dataclass(frozen=True)
class Latents:
    """Where each particle lies in the latent space, in the order of the star file's rows."""

    z: np.ndarray
    """(N, Z) float32."""
    rows: np.ndarray
    """(N,) int64: the star row of each entry; 0..N-1 unless the run used a random part of the particles."""
    coordinate: np.ndarray | None = None
    """(N,) float32: position along the curve that was found, if one was."""
    uncertainty: np.ndarray | None = None
    """(N,) float32: standard deviation of the coordinate, or of z where there is no coordinate."""
    half: np.ndarray | None = None
    """(N,) int8, 0 or 1: the half-set whose bases each particle went into, where there are two."""
    states: np.ndarray | None = None
    """(N, S) float32: how far each particle belongs to each of S separate states, if there are any; rows sum to 1."""
    contrast: np.ndarray | None = None
    """(N,) float32: contrast of each image around 1, where it was estimated."""
    pose_correction: np.ndarray | None = None
    """(N, 5) float32: by how much poses were moved, degrees about the view's x, y and z axes and Å along x and y."""
    defocus_correction: np.ndarray | None = None
    """(N,) float32: by how many Å both values of the defocus were moved."""
    epochs: tuple[int, int] | None = None
    """Epochs that were done and wanted, where these are the latents of a training that has not finished."""

    steps: tuple[int, int] | None = None
    """The same in steps of a closed form."""
    columns: tuple[str, ...] | None = None
    """What each column of z is called, where these are of several regions of a focus: `arm_1`, …"""

    @property
    def unfinished(self) -> str:
        """`after epoch 3 of 20`, where the training has not finished; else empty."""
        if self.steps:
            return f"after step {self.steps[0]} of {self.steps[1]}"
        return f"after epoch {self.epochs[0]} of {self.epochs[1]}" if self.epochs else ""


OF_PARTICLES = {
    "coordinate": np.float32,
    "uncertainty": np.float32,
    "half": np.int8,
    "states": np.float32,
    "contrast": np.float32,
    "pose_correction": np.float32,
    "defocus_correction": np.float32,
}
"""What a training may know of each particle beside z, and how it is stored."""


def latents_from(arrays: dict[str, np.ndarray], file: Path) -> Latents:
    """The latents that `file` holds as `arrays`. Raises DataError where these do not fit each other."""
    of_particles = {name: arrays[name] for name in ("z", "rows", *OF_PARTICLES) if name in arrays}
    rows, done = of_particles["rows"], {name: arrays[name] for name in ("epochs", "steps") if name in arrays}
    of_one_kind = all(values.shape[:1] == rows.shape and values.dtype.kind in "iuf" for values in of_particles.values())
    rows_are_rows = rows.ndim == 1 and rows.dtype.kind == "i" and (rows >= 0).all()
    pairs = all(of_wanted.shape == (2,) for of_wanted in done.values())
    if not of_one_kind or not rows_are_rows or of_particles["z"].ndim != 2 or not pairs:
        raise DataError(f"{file} is damaged: its arrays are not of the same particles; train again.")
    columns = tuple(map(str, arrays["columns"])) if "columns" in arrays else None
    return Latents(
        columns=columns, **of_particles, **{name: (int(pair[0]), int(pair[1])) for name, pair in done.items()}
    )
