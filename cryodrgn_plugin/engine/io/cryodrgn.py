"""cryoDRGN's pickles: poses, CTFs and latents, read without running code from the file, and written as cryoDRGN reads
them.

poses.pkl is (rotations N × 3 × 3, translations N × 2) or rotations alone; rotations are RELION's, translations are
rlnOrigin as a fraction of the box (ab initio runs write pixels: anything beyond one box is taken as such). ctf.pkl is
N × 9: box, pixel size, defocus U, V and angle, voltage, Cs, amplitude contrast, phase shift; box and pixel size may be
those before downsampling. z.N.pkl is two pickles in a row, mean and log variance, or one (docs/conventions.md).
"""

import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import DataError
from ..geometry.rotations import euler_from_matrices
from .header import read_header
from .particles import EULER, ParticleTable
from .pickles import read_pickles
from .reading import WHY, understood
from .writing import replacing

_ADVICE = "Give a file that cryoDRGN wrote."


def read_poses(path: str | os.PathLike, box: int) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (N, 3, 3), and origins (N, 2) in pixels of `box` (rlnOriginX/Y; 0 in files of rotations alone)."""
    content = _load(path)[0]
    rotations, translations = content if isinstance(content, tuple) and len(content) == 2 else (content, None)
    rotations = _array(rotations, path)
    if not np.isfinite(rotations).all():
        raise DataError(f"{path}: its rotations hold NaN or infinite values. {_ADVICE}")
    if rotations.ndim != 3 or rotations.shape[1:] != (3, 3):
        raise DataError(f"{path}: it does not hold N × 3 × 3 rotations. Give cryoDRGN's poses file.")
    if translations is None:
        return rotations, np.zeros((len(rotations), 2))
    translations = _array(translations, path)
    if translations.shape != (len(rotations), 2):
        raise DataError(
            f"{path}: its translations have the shape {translations.shape}; {(len(rotations), 2)} is needed."
        )
    return rotations, translations if np.abs(translations).max(initial=0) > 1 else translations * box


def write_poses(path: str | os.PathLike, rotations: np.ndarray, origins_px: np.ndarray, box: int) -> None:
    """Write poses.pkl. Raises DataError when it cannot be written."""
    content = (np.asarray(rotations, np.float32), np.asarray(origins_px / box, np.float32))
    with replacing(path) as temporary, open(temporary, "wb") as file:
        pickle.dump(content, file)


def read_ctf(path: str | os.PathLike) -> np.ndarray:
    """(N, 9) float64: box, pixel (Å), defocus U, V (Å), angle (°), kV, Cs (mm), amplitude contrast, phase shift (°)."""
    values = _array(_load(path)[0], path)
    if values.ndim != 2 or values.shape[1] != 9:
        raise DataError(f"{path}: its shape is {values.shape}; N × 9 is needed. Give cryoDRGN's CTF file.")
    return values


def write_ctf(path: str | os.PathLike, values: np.ndarray) -> None:
    """Write ctf.pkl from (N, 9) `values`. Raises DataError when it cannot be written."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        pickle.dump(np.asarray(values, np.float32), file)


def read_latents(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray | None]:
    """Mean (N, Z) and log variance (N, Z) of z.N.pkl; None for the latter where the file has one array."""
    arrays = [_array(content, path).astype(np.float32) for content in _load(path, most=2)]
    return arrays[0], arrays[1] if len(arrays) == 2 else None


def particles_from_cryodrgn(
    stack: str | os.PathLike, ctf: str | os.PathLike, poses: str | os.PathLike | None = None
) -> ParticleTable:
    """The particle table of a stack with cryoDRGN's ctf.pkl and poses.pkl.

    Raises
    ------
    DataError : the files hold different numbers of particles, or are not what they should be.
    """
    header = read_header(stack)
    n, box = header.shape[0], header.shape[2]
    values = read_ctf(ctf)
    rotations, origins = (None, None) if poses is None else read_poses(poses, box)
    for path, count in ((ctf, len(values)), (poses, n if rotations is None else len(rotations))):
        if count != n:
            raise DataError(f"{path}: it has {count:,} particles, but {stack} has {n:,}. They do not belong together.")
    # The pixel size in ctf.pkl belongs to the box in ctf.pkl: after downsampling the stack's pixels are larger.
    pixel = values[:, 1] * values[:, 0] / box
    keys = np.column_stack([pixel, values[:, 5:8]])
    groups, group = np.unique(keys, axis=0, return_inverse=True)
    frame = {
        "rlnImageName": [f"{i}@{Path(stack).absolute()}" for i in range(1, n + 1)],
        "rlnDefocusU": values[:, 2],
        "rlnDefocusV": values[:, 3],
        "rlnDefocusAngle": values[:, 4],
        "rlnPhaseShift": values[:, 8],
        "rlnOpticsGroup": group.reshape(-1) + 1,
    }
    if rotations is not None:
        frame |= dict(zip(EULER, euler_from_matrices(rotations).T, strict=True))
        frame |= {"rlnOriginXAngst": origins[:, 0] * pixel, "rlnOriginYAngst": origins[:, 1] * pixel}
    columns = ["rlnImagePixelSize", "rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast"]
    optics = pd.DataFrame(groups, columns=columns)
    optics.insert(0, "rlnOpticsGroup", np.arange(1, len(groups) + 1))
    optics.insert(1, "rlnOpticsGroupName", [f"opticsGroup{i}" for i in optics["rlnOpticsGroup"]])
    optics["rlnImageSize"], optics["rlnImageDimensionality"] = box, 2
    table = pd.DataFrame(frame)
    return ParticleTable(Path(ctf), table, optics, {"optics": optics, "particles": table})


def _array(content: object, path: str | os.PathLike) -> np.ndarray:
    if not isinstance(content, np.ndarray):
        raise DataError(f"{path}: it does not hold an array of numbers. {_ADVICE}")
    return content.astype(np.float64)


def _load(path: str | os.PathLike, most: int = 1) -> list[object]:
    """Up to `most` pickles that follow each other in a file."""
    with understood(f"{path}: is not a safe pickle of arrays ({WHY}). {_ADVICE}"):
        return read_pickles(path, most)
