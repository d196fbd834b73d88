"""The header of MRC files (MRC2014), read and written as one record of 1024 bytes."""

import os
from dataclasses import dataclass

import numpy as np

from ..errors import DataError

HEADER_BYTES = 1024
_DTYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
_HEADER = np.dtype(
    [
        ("size", "i4", 3), ("mode", "i4"), ("start", "i4", 3), ("sampling", "i4", 3), ("cell_ang", "f4", 3),
        ("cell_deg", "f4", 3), ("axes", "i4", 3), ("minimum", "f4"), ("maximum", "f4"), ("mean", "f4"),
        ("space_group", "i4"), ("extra_bytes", "i4"), ("unused", "V8"), ("extra_type", "S4"), ("version", "i4"),
        ("unused2", "V84"), ("origin", "f4", 3), ("map", "S4"), ("stamp", "u1", 4), ("deviation", "f4"),
        ("n_labels", "i4"), ("labels", "S80", 10),
    ]
)  # fmt: skip
assert _HEADER.itemsize == HEADER_BYTES

_OTHER_FORMATS = {
    b"\x1f\x8b": "compressed by gzip",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ": "compressed by xz",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
    b"PK\x03\x04": "a zip archive",
    b"\x93NUMPY": "an array of numpy",
    b"II*\0": "a TIFF file",
    b"MM\0*": "a TIFF file",
    b"\x89HDF": "an HDF5 file",
    b"version https://git-lfs": "a pointer of Git LFS",
}
"""How files begin that are given in place of stacks."""


@dataclass(frozen=True)
class MrcHeader:
    """What is needed to read one file: (sections, rows, columns), the number type on disk, where data begin, the pixel
    size, and which axis (x 1, y 2, z 3) columns, rows and sections run along."""

    shape: tuple[int, int, int]
    dtype: np.dtype
    offset: int
    pixel_size_ang: float
    axes: tuple[int, int, int] = (1, 2, 3)

    @property
    def image_bytes(self) -> int:
        return self.shape[1] * self.shape[2] * self.dtype.itemsize


def read_header(path: str | os.PathLike) -> MrcHeader:
    """Read and check the header of a map or stack.

    Raises
    ------
    DataError : the file is absent, not MRC, has a number type that is not supported, or is shorter than its header
        says.
    """
    try:
        with open(path, "rb") as file:
            raw = file.read(HEADER_BYTES)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None
    if len(raw) < HEADER_BYTES:
        raise DataError(f"{path}: has only {len(raw)} bytes, so it is not an MRC file. Copy or extract it again.")
    header, order = _ordered_header(raw)
    shape = tuple(int(n) for n in header["size"][::-1])
    mode = int(header["mode"])
    if min(shape) < 1 or max(shape) > 10**8 or not 0 <= mode <= 101:
        other = next((name for start, name in _OTHER_FORMATS.items() if raw.startswith(start)), "")
        why = f"it is {other}" if other else f"its header gives a size of {' × '.join(map(str, shape[::-1]))}"
        raise DataError(f"{path}: is not an MRC file ({why}). Convert it to MRC.")
    if mode not in _DTYPES:
        raise DataError(
            f"{path}: has MRC mode {mode}; modes 0, 1, 2, 6 and 12 are read. Convert it to mode 2 (float32)."
        )
    dtype = np.dtype(order + _DTYPES[mode])
    if dtype.kind == "i" and header["maximum"] > np.iinfo(dtype).max:
        # As older programs write bytes and counts: the header states values that signed numbers do not reach.
        dtype = np.dtype(order + dtype.str[1:].replace("i", "u"))
    offset = HEADER_BYTES + max(0, int(header["extra_bytes"]))
    complete = (size - offset) // (shape[1] * shape[2] * dtype.itemsize)
    if complete < shape[0]:
        raise DataError(
            f"{path}: is cut off: its header announces {shape[0]:,} sections but the file holds {max(complete, 0):,}. "
            "Copy or extract it again."
        )
    samples = int(header["sampling"][0])
    pixel_size = float(header["cell_ang"][0]) / samples if samples > 0 else 0.0
    axes = tuple(int(axis) for axis in header["axes"])
    return MrcHeader(shape, dtype, offset, pixel_size, axes if sorted(axes) == [1, 2, 3] else (1, 2, 3))


def _ordered_header(raw: bytes) -> tuple[np.void, str]:
    """The header in the byte order in which it makes sense: old files do not state it reliably."""
    for order in "<>":
        header = np.frombuffer(raw, _HEADER.newbyteorder(order))[0]
        if 0 <= header["mode"] <= 101 and (0 < header["size"]).all() and (header["size"] < 2**24).all():
            return header, order
    return np.frombuffer(raw, _HEADER.newbyteorder("<"))[0], "<"


def new_header(
    shape: tuple[int, int, int], pixel_size_ang: float, *, is_stack: bool, float16: bool = False
) -> np.ndarray:
    """A header for float32 or float16 data of `shape` (nz, ny, nx); its statistics are left at 0."""
    nz, ny, nx = shape
    header = np.zeros((), _HEADER)
    header["size"] = nx, ny, nz
    header["mode"] = 12 if float16 else 2
    # For a stack of images mz = 1 and space group 0; for a volume mz = nz and space group 1 (MRC2014).
    header["sampling"] = nx, ny, 1 if is_stack else nz
    header["space_group"] = 0 if is_stack else 1
    header["cell_ang"] = header["sampling"] * np.float32(pixel_size_ang)
    header["cell_deg"] = 90.0
    header["axes"] = 1, 2, 3
    header["version"] = 20140
    header["map"] = b"MAP "
    header["stamp"] = 0x44, 0x44, 0, 0
    return header
