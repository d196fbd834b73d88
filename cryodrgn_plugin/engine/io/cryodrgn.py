"""cryoDRGN's pickles: poses, CTFs and latents, read without running code from the file, and written as cryoDRGN reads
them.

poses.pkl is (rotations N × 3 × 3, translations N × 2) or rotations alone; rotations are RELION's, translations are
rlnOrigin as a fraction of the box (ab initio runs write pixels: anything beyond one box is taken as such). ctf.pkl is
N × 9: box, pixel size, defocus U, V and angle, voltage, Cs, amplitude contrast, phase shift; box and pixel size may be
those before downsampling. z.N.pkl is two pickles in a row, mean and log variance, or one. ind.pkl is the numbers of
the particles that are used, from 0 (docs/conventions.md).
"""

import os
import pickle

import numpy as np

from ..errors import DataError
from .pickles import read_pickles
from .reading import WHY, understood
from .writing import replacing

_ADVICE = "Give a file that cryoDRGN wrote."


def read_poses(path: str | os.PathLike, box: int, unit_px: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (N, 3, 3), and origins (N, 2) in pixels of `box` (rlnOriginX/Y; 0 in files of rotations alone).

    `unit_px`: how many pixels a translation of 1 is, where that is known.
    """
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
    if unit_px is None:
        unit_px = 1.0 if np.abs(translations).max(initial=0) > 1 else box
    return rotations, translations * unit_px


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


def write_latents(path: str | os.PathLike, mean: np.ndarray) -> None:
    """Write z.pkl from latents (N, Z). Raises DataError when it cannot be written."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        pickle.dump(np.asarray(mean, np.float32), file)


def read_indices(path: str | os.PathLike, n: int) -> np.ndarray:
    """(M,) int64 of ind.pkl, which particles of N are used, in its order.

    Raises DataError for indices that are none, repeat themselves or lie beyond the particles.
    """
    index = _load(path)[0]
    index = np.asarray(index) if isinstance(index, list) else index
    if not isinstance(index, np.ndarray) or index.ndim != 1 or index.dtype.kind not in "iu" or not len(index):
        raise DataError(f"{path}: it does not hold a list of particle numbers. Give cryoDRGN's ind.pkl.")
    if index.min() < 0 or index.max() >= n:
        raise DataError(
            f"{path}: it names particle {index.max() if index.min() >= 0 else index.min():,}, counted from 0, of "
            f"{n:,}. Give the indices that belong to these particles."
        )
    if len(np.unique(index)) < len(index):
        raise DataError(f"{path}: it names particles twice. Give each index once.")
    return index.astype(np.int64)


def write_indices(path: str | os.PathLike, index: np.ndarray) -> None:
    """Write ind.pkl from (M,) particle numbers, counted from 0. Raises DataError when it cannot be written."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        pickle.dump(np.asarray(index, np.int64), file)


def _array(content: object, path: str | os.PathLike) -> np.ndarray:
    if not isinstance(content, np.ndarray):
        raise DataError(f"{path}: it does not hold an array of numbers. {_ADVICE}")
    return content.astype(np.float64)


def _load(path: str | os.PathLike, most: int = 1) -> list[object]:
    """Up to `most` pickles that follow each other in a file."""
    with understood(f"{path}: is not a safe pickle of arrays ({WHY}). {_ADVICE}"):
        return read_pickles(path, most)
