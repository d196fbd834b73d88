"""MMTF structure files (gemmi does not read them): a small reader.

An MMTF file is a MessagePack map whose long arrays are packed further, each with a 12-byte header: codec, length,
parameter (big-endian int32). Source: the MMTF specification 1.0, github.com/rcsb/mmtf/blob/master/spec.md. Only the
first model is read.
"""

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np

from ..io.reading import WHY, understood
from .atomic_model import AtomicModel

MOST_BYTES = 2**28
MOST_VALUES = 20_000_000
"""Atoms of the largest structures are some millions."""
MOST_LEVELS = 20
_WATER = {"HOH", "WAT", "DOD"}


def read_mmtf(path: str | Path) -> AtomicModel:
    """Heavy atoms of the first model, waters left out; chains by their author's name (auth_asym_id).

    Raises DataError when the file is not MMTF.
    """
    path = Path(path)
    with understood(f"{path} cannot be read as an MMTF file ({WHY}); it may be cut off. Fetch it again."):
        return _first_model(MessagePack(_unpacked(path)).value())


def _unpacked(path: Path) -> bytes:
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        data = (gzip.GzipFile(fileobj=file) if packed else file).read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES >> 20:,} MB")
    return data


def _first_model(fields: dict) -> AtomicModel:
    from gemmi import Element

    n_chains = fields["chainsPerModel"][0]
    groups_per_chain = np.asarray(fields["groupsPerChain"][:n_chains])
    n_groups = int(groups_per_chain.sum())
    kinds = fields["groupList"]
    types = decode(fields["groupTypeList"])[:n_groups]
    sizes = np.array([len(kind["atomNameList"]) for kind in kinds])[types]
    if not 0 < sizes.sum() <= MOST_VALUES or len(types) != n_groups:
        raise ValueError(f"{sizes.sum():,} atoms in {n_groups:,} groups")

    names = np.concatenate([kinds[t]["atomNameList"] for t in types])
    elements = np.concatenate([kinds[t]["elementList"] for t in types])
    number = {symbol: Element(symbol).atomic_number for symbol in set(elements.tolist())}
    weights = np.array([number[symbol] for symbol in elements.tolist()], dtype=np.float32)
    residues = np.array([kind["groupName"] for kind in kinds])[types]
    # The optional author's name of a chain is what papers call it; chainIdList numbers every molecule.
    chain_names = decode(fields.get("chainNameList", fields["chainIdList"]))[:n_chains]

    n_atoms = int(sizes.sum())
    coords = np.stack([decode(fields[f"{axis}CoordList"])[:n_atoms] for axis in "xyz"], axis=1)
    model = AtomicModel(
        coords.astype(np.float64),
        weights,
        np.repeat(np.repeat(chain_names, groups_per_chain), sizes),
        np.repeat(decode(fields["groupIdList"])[:n_groups], sizes),
        names,
        np.repeat(residues, sizes),
    )
    water = np.repeat(np.isin(residues, list(_WATER)), sizes)
    return model[(weights > 1) & ~water & _first_location(fields, n_atoms)]


def _first_location(fields: dict, n_atoms: int) -> np.ndarray:
    if "altLocList" not in fields:
        return np.ones(n_atoms, dtype=bool)
    return np.isin(decode(fields["altLocList"])[:n_atoms], ["", "\0", "A"])


def decode(packed: bytes) -> np.ndarray:
    """The array in an MMTF binary field. Raises ValueError for a codec that models do not use."""
    codec, length, parameter = struct.unpack(">iii", packed[:12])
    data = packed[12:]
    if codec == 4:
        return np.frombuffer(data, ">i4").astype(np.int32)
    if codec == 5:
        if not 0 < parameter <= 100:
            raise ValueError(f"texts of {parameter} letters")
        return np.char.rstrip(np.frombuffer(data, f"S{parameter}").astype(str), "\0")
    if codec in (6, 7, 8, 9):
        # Run lengths: pairs of a value and how often it stands.
        runs = np.frombuffer(data, ">i4").reshape(-1, 2).astype(np.int64)
        if not 0 <= runs[:, 1].sum() <= MOST_VALUES:
            raise ValueError(f"{runs[:, 1].sum():,} values")
        values = np.repeat(*runs.T)
        if codec == 6:
            return np.array([chr(value) for value in values])
        if codec == 8:
            return np.cumsum(values)
        return values / parameter if codec == 9 else values
    if codec == 10:
        return np.cumsum(_unfold(np.frombuffer(data, ">i2").astype(np.int64))) / parameter
    raise ValueError(f"codec {codec} of {length} values")


def _unfold(values: np.ndarray) -> np.ndarray:
    """Undo recursive indexing: runs of the extreme int16 values are parts of the number that ends them."""
    ends = (values != 32767) & (values != -32768)
    starts = np.concatenate([[0], np.flatnonzero(ends)[:-1] + 1])
    return np.add.reduceat(values, starts)


class MessagePack:
    """A reader of MessagePack, the part of it that MMTF uses (github.com/msgpack/msgpack/blob/master/spec.md)."""

    _NUMBERS = {
        0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
        0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q",
    }  # fmt: skip
    _CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
    _SIZED = {
        0xC4: (">B", "bytes"), 0xC5: (">H", "bytes"), 0xC6: (">I", "bytes"),
        0xD9: (">B", "text"), 0xDA: (">H", "text"), 0xDB: (">I", "text"),
        0xDC: (">H", "array"), 0xDD: (">I", "array"), 0xDE: (">H", "map"), 0xDF: (">I", "map"),
    }  # fmt: skip

    def __init__(self, data: bytes) -> None:
        self._data, self._at, self._levels = data, 0, 0

    def value(self) -> Any:
        """The next value."""
        tag = self._take(1)[0]
        if tag < 0x80:
            return tag
        if tag >= 0xE0:
            return tag - 0x100
        if tag < 0xC0:
            kind, count = ("map", tag & 15) if tag < 0x90 else ("array", tag & 15) if tag < 0xA0 else ("text", tag & 31)
            return self._sized(kind, count)
        if tag in self._CONSTANTS:
            return self._CONSTANTS[tag]
        if tag in self._NUMBERS:
            return self._number(self._NUMBERS[tag])
        size_format, kind = self._SIZED[tag]
        return self._sized(kind, self._number(size_format))

    def _sized(self, kind: str, count: int) -> Any:
        if kind in ("map", "array"):
            self._levels += 1
            if self._levels > MOST_LEVELS:
                raise ValueError(f"more than {MOST_LEVELS} levels")
            if kind == "map":
                content: Any = {self.value(): self.value() for _ in range(count)}
            else:
                content = [self.value() for _ in range(count)]
            self._levels -= 1
            return content
        data = self._take(count)
        return data.decode() if kind == "text" else data

    def _number(self, number_format: str) -> int | float:
        return struct.unpack(number_format, self._take(struct.calcsize(number_format)))[0]

    def _take(self, count: int) -> bytes:
        part = self._data[self._at : self._at + count]
        if len(part) < count:
            raise IndexError("end of data")
        self._at += count
        return part
