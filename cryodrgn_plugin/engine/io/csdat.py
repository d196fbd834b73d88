"""cryoSPARC's compressed particle files (.cs, format 2): one stream of columns, most of them LZ4 blocks.

After the magic number comes a JSON header with its length in front, then each column with its length in front, as bytes
or as an LZ4 block, then all texts, each ended by a zero byte. A column of texts holds their places among these bytes.
Layout as in cryosparc-tools (`Dataset.stream`), blocks as in the LZ4 block format.
"""

import json
import math
from typing import Any

import numpy as np

from .arrays import refuse_bombs

MAGIC = b"\x95CSDAT"
_LEAST_MATCH = 4
_LONG = 15


def read_compressed(file: Any, size: int) -> np.ndarray:
    """(N,) records of a file of `size` bytes, texts as bytes. Raises ValueError for whatever is wrong with it."""
    if file.read(len(MAGIC)) != MAGIC:
        raise ValueError("no compressed dataset")
    header = json.loads(_sized(file, size))
    n, compressed = header["length"], set(header["compressed_fields"])
    if not isinstance(n, int) or n < 0:
        raise ValueError(f"{n} rows")
    kinds = {name: _column_type(kind, *shape) for name, kind, *shape in header["dtype"]}
    refuse_bombs(n * sum(math.prod(shape) * dtype.itemsize for dtype, shape in kinds.values()), size)
    columns = {}
    for name, (dtype, shape) in kinds.items() if n else ():
        content, wanted = _sized(file, size), n * math.prod(shape) * dtype.itemsize
        content = lz4_block(content, wanted) if name in compressed else content
        if len(content) != wanted:
            raise ValueError(f"{name} has {len(content):,} bytes instead of {wanted:,}")
        columns[name] = np.frombuffer(content, dtype).reshape(n, *shape)
    texts = file.read()
    for name, kind, *_ in header["dtype"]:
        if name in columns and kind.endswith("O"):
            columns[name] = _texts(columns[name], texts, size)
    kept = [(name, values.dtype, values.shape[1:]) for name, values in columns.items()]
    records = np.zeros(n, kept or [("uid", np.dtype(np.uint64), ())])
    for name, values in columns.items():
        records[name] = values
    return records


def lz4_block(block: bytes, size: int) -> bytes:
    """The content of an LZ4 block, at most `size` bytes. Raises ValueError where it is damaged or longer."""
    out, at = bytearray(), 0
    while at < len(block):
        token = block[at]
        literals, at = _length(block, at + 1, token >> 4)
        out += block[at : at + literals]
        at += literals
        if at >= len(block):
            break
        back = int.from_bytes(block[at : at + 2], "little")
        again, at = _length(block, at + 2, token & _LONG)
        again += _LEAST_MATCH
        if not 0 < back <= len(out) or len(out) + again > size:
            raise ValueError("a damaged LZ4 block")
        seen = out[-back:] if back <= again else out[-back : len(out) - back + again]
        out += (seen * (again // len(seen) + 1))[:again]
    if len(out) > size:
        raise ValueError("a damaged LZ4 block")
    return bytes(out)


def _length(block: bytes, at: int, start: int) -> tuple[int, int]:
    """A length that begins with `start` in the token and may go on at `at`; and the place after it."""
    length = start
    more = start == _LONG
    while more:
        length += block[at]
        more = block[at] == 255
        at += 1
    return length, at


def _sized(file: Any, size: int) -> bytes:
    wanted = int.from_bytes(file.read(4), "little")
    if wanted > size:
        raise ValueError(f"it announces {wanted:,} bytes in a file of {size:,}")
    content = file.read(wanted)
    if len(content) != wanted:
        raise ValueError(f"it announces {wanted:,} bytes and holds {len(content):,}")
    return content


def _column_type(kind: str, shape: list[int] | tuple[int, ...] = ()) -> tuple[np.dtype, tuple[int, ...]]:
    dtype = np.dtype(np.uint64 if kind.endswith("O") else kind)
    if dtype.kind not in "iufc" or any(not isinstance(count, int) or count < 0 for count in shape):
        raise ValueError(f"a column of {kind} {shape}")
    return dtype, tuple(shape)


def _texts(places: np.ndarray, texts: bytes, size: int) -> np.ndarray:
    """(N,) texts, as bytes, that begin at `places` (N,)."""
    different, which = np.unique(places, return_inverse=True)
    if len(different) and different[-1] >= max(len(texts), 1):
        raise ValueError("a text is not in the file")
    found = [texts[place : texts.index(b"\0", place)] if texts else b"" for place in different.tolist()]
    refuse_bombs(len(places) * max(map(len, found), default=0), size)
    return np.array(found, "S")[which.reshape(-1)]
