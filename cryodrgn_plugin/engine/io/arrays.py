"""Arrays in numpy's own files: read whole, never unpickled, and never larger than the file can hold."""

import math
import os
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.lib import format as npy

from ..errors import DataError
from .reading import WHY, understood

_SMALL = 2**28
_DENSEST = 50
"""Arrays of a file may take `_SMALL` bytes together, and beyond that so many times the size of the file."""


def read_arrays(path: Path, *needed: str) -> dict[str, np.ndarray]:
    """All arrays of an npz by name.

    Raises FileNotFoundError where there is no such file, DataError where it is damaged or lacks one that is `needed`.
    """
    with understood(f"{path} is damaged; remove it, and run again what made it.", missing_ok=True):
        arrays = arrays_of(path)
    if missing := [name for name in needed if name not in arrays]:
        raise DataError(f"{path} has no {missing[0]}: it is another file, or of another version; make it anew.")
    return arrays


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an npz by name. Raises whatever is wrong with it."""
    with ZipFile(path) as stored:
        total = sum(member.file_size for member in stored.infolist())
        if total > _SMALL + _DENSEST * os.path.getsize(path):
            raise ValueError(f"its arrays would take {total / 2**30:,.1f} GB")
        arrays = {}
        for member in stored.infolist():
            with stored.open(member) as file:
                arrays[member.filename.removesuffix(".npy")] = read_npy(file, member.file_size)
                file.read(1)  # at the end of it a checksum is compared
    return arrays


def read_npy(file: Any, size: int) -> np.ndarray:
    """The array in a file of `size` bytes in numpy's format.

    Raises ValueError where it holds objects, or is not as long as its header says.
    """
    version = npy.read_magic(file)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"numpy's format {version[0]}.{version[1]}")
    shape, fortran_order, dtype = readers[version](file)
    if dtype.hasobject:
        raise ValueError("it holds objects and not numbers")
    if any(n < 0 for n in shape) or (shape and not dtype.itemsize):
        raise ValueError(f"an array of shape {shape} of {dtype}")
    wanted = math.prod(shape) * dtype.itemsize
    if wanted > size:
        raise ValueError(f"it announces {wanted:,} bytes in a file of {size:,}")
    data = memoryview(bytearray(wanted))
    done = 0
    while done < wanted:
        got = file.readinto(data[done:])
        if not got:
            raise ValueError(f"it announces {wanted:,} bytes and holds {done:,}")
        done += got
    values: np.ndarray = np.ndarray(shape[::-1] if fortran_order else shape, dtype, data)
    return values.T if fortran_order else values


def read_npy_file(path: str | os.PathLike, advice: str) -> np.ndarray:
    """The array of a .npy file. Raises DataError, which ends with `advice`, for whatever is wrong with it."""
    with understood(f"{path}: cannot be read ({WHY}). {advice}"), open(path, "rb") as file:
        return read_npy(file, os.fstat(file.fileno()).st_size)
