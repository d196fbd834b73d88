"""Poses as they lie in files, to be compared: a particle star file, or the truth.npz of a simulated set."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..geometry.rotations import matrices_from_euler
from ..io.arrays import read_arrays
from ..io.particles import ParticleTable, read_particles


@dataclass(frozen=True)
class KnownPoses:
    """Poses of N particles."""

    rotations: np.ndarray
    """(N, 3, 3), volume to view."""
    shifts_ang: np.ndarray
    """(N, 2). Where the particle is; minus rlnOriginX/YAngst."""
    species: np.ndarray
    """(N,) int. rlnClassNumber, or the state of a simulated particle counted from 1; 1 where the file has neither."""
    images: list[str] | None
    """`number@stack` of each; None where only the row tells which particle it is."""
    pixel_size_ang: float

    def __len__(self) -> int:
        return len(self.rotations)

    def __getitem__(self, rows: np.ndarray) -> "KnownPoses":
        images = None if self.images is None else [self.images[row] for row in rows]
        return KnownPoses(self.rotations[rows], self.shifts_ang[rows], self.species[rows], images, self.pixel_size_ang)


def read_poses(path: str | Path) -> KnownPoses:
    """The poses of a star file (any RELION version) or of truth.npz.

    Raises DataError when the file is neither, or a particle has no pose.
    """
    path = Path(path)
    return _of_truth(path) if path.suffix == ".npz" else _of_table(read_particles(path))


def _of_truth(path: Path) -> KnownPoses:
    try:
        stored = read_arrays(path, "rotations", "shifts_ang", "state", "pixel_size_ang")
    except (FileNotFoundError, DataError):
        raise DataError(f"{path} is not the truth of a simulated set; give its truth.npz or a star file.") from None
    rotations, shifts_ang = stored["rotations"], stored["shifts_ang"]
    return KnownPoses(rotations, shifts_ang, 1 + stored["state"], None, float(stored["pixel_size_ang"]))


def _of_table(table: ParticleTable) -> KnownPoses:
    if table.euler_deg is None or np.isnan(table.euler_deg).any():
        raise DataError(
            f"{table.path}: particles have no rlnAngleRot, rlnAngleTilt and rlnAnglePsi; give a star file with poses."
        )
    origins_ang = np.zeros((table.n, 2)) if table.origins_ang is None else np.nan_to_num(table.origins_ang)
    has_classes = "rlnClassNumber" in table.frame
    species = table.numbers("rlnClassNumber").astype(int) if has_classes else np.ones(table.n, dtype=int)
    pixel_size_ang = float(np.median(table.pixel_size_ang))
    return KnownPoses(matrices_from_euler(table.euler_deg), -origins_ang, species, table.image_names, pixel_size_ang)


def in_common(found: KnownPoses, true: KnownPoses) -> tuple[KnownPoses, KnownPoses]:
    """The particles that both have, in the order of `found`: by image where both name them, else row by row.

    Raises DataError when no image is in both, or rows cannot be told apart.
    """
    if found.images is None or true.images is None:
        if len(found) != len(true):
            raise DataError(
                f"There are {len(found):,} found poses and {len(true):,} in truth.npz, which names no images; give "
                "the poses of all particles."
            )
        return found, true
    true_row = {name: row for row, name in enumerate(_keys(true.images))}
    pairs = [(row, true_row[name]) for row, name in enumerate(_keys(found.images)) if name in true_row]
    if not pairs:
        raise DataError("The two star files have no image in common (rlnImageName); give poses of the same particles.")
    rows = np.array(pairs)
    return found[rows[:, 0]], true[rows[:, 1]]


def _keys(images: list[str]) -> list[str]:
    """Names without leading zeros and folders, which programs change, unless that makes two of them one."""
    parts = [name.partition("@") for name in images]
    short = [f"{number.lstrip('0')}@{Path(stack).name}" for number, _, stack in parts]
    return short if len(set(short)) == len(short) else images
