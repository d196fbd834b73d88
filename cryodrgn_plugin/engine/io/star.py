"""STAR files as pandas tables, without losing what RELION put there.

A header scan finds the blocks; pandas' C parser reads each table (a million rows in seconds). Names stay strings
('001' is an optics group name, not a number), `nan` is a missing number, and columns and rows keep their order.

RELION takes names for bytes. A file whose bytes are not UTF-8 is read as Latin-1, in which every byte is a letter, and
its tables are marked (`attrs["encoding"]`), so that they are written with the bytes that they had.
"""

import codecs
import io
import os
import re
import warnings
from collections import deque
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import DataError
from .reading import WHY, understood
from .star_rows import block_heads, comment_start, data_rows, quoted, quoted_alike, words
from .writing import replacing

_TEXT_COLUMN = re.compile(r"(Name|Label|File|Filename|Star|Path|Type|Comment|VisibleFrames|TomoProj[XYZW])$")
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
_ROWS_AT_ONCE = 50_000
_BYTES_AT_ONCE = 2**20
_MISSING = ["nan", "NaN", "-nan", "NAN", "<NA>", "null"]
_ADVICE = "Give a RELION particles star file."
UTF8, LATIN1 = "utf-8", "latin-1"


def read_star(path: str | os.PathLike) -> dict[str, pd.DataFrame]:
    """All tables of a STAR file.

    Parameters
    ----------
    path : the file. A `loop_` gives a table with one row per line up to the first blank one, comments left out; a list
        of pairs gives one row, marked by `attrs["pairs"]`, so that it is written as pairs again.

    Returns
    -------
    block name (without `data_`) → table with column names without the leading underscore, in the file's order.

    Raises
    ------
    DataError : the file is absent, empty or not a STAR file, names a column twice, or has a row of the wrong length.
    """
    path = Path(path)
    with understood(f"{path}: cannot be read ({WHY}). {_ADVICE}"):
        return _read(path)


def _read(path: Path) -> dict[str, pd.DataFrame]:
    data, encoding = _content(path)
    blocks = _blocks(data)
    if not blocks:
        what = "is empty" if not data.strip() else "has no data_ block, so it is not a STAR file"
        raise DataError(f"{path}: the file {what}. {_ADVICE}")
    # Of a large file no more than one copy is kept while its rows become numbers.
    contents = deque(data[start:end] for _, start, end in blocks)
    del data
    tables: dict[str, pd.DataFrame] = {}
    for name, _, _ in blocks:
        if name in tables:
            raise DataError(f"{path}: the block data_{name} occurs twice. Keep one of them.")
        tables[name] = _read_block(path, name, contents.popleft())
        if encoding != UTF8:
            tables[name].attrs["encoding"] = encoding
    return tables


def write_star(path: str | os.PathLike, tables: dict[str, pd.DataFrame]) -> None:
    """Write tables as a STAR file that RELION 3.1 and later read; the file appears whole or not at all.

    Numbers have ten significant digits; text with spaces is quoted and empty text written as "".

    Raises
    ------
    DataError : the disk is full or the folder cannot be written.
    """
    encoding = next((table.attrs["encoding"] for table in tables.values() if "encoding" in table.attrs), UTF8)
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding=encoding) as out:
        for name, table in tables.items():
            out.write(f"\n# version 30001\n\ndata_{name}\n\n")
            if table.attrs.get("pairs") and len(table) == 1:
                for column, value in table.iloc[0].items():
                    out.write(f"_{column} {_plain(value)}\n")
                continue
            out.write("loop_\n")
            out.writelines(f"_{column} #{i}\n" for i, column in enumerate(table.columns, 1))
            for start in range(0, len(table), _ROWS_AT_ONCE):
                columns = [_texts(table.iloc[start : start + _ROWS_AT_ONCE, i]) for i in range(table.shape[1])]
                out.writelines(" ".join(row) + "\n" for row in zip(*columns, strict=True))
        out.write("\n")


def _content(path: Path) -> tuple[bytes, str]:
    """The file in UTF-8, and the encoding that it has on disk."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file. Check the path of the star file.") from None
    if data.isascii() or _is_utf8(data):
        return data, UTF8
    return data.decode(LATIN1).encode(UTF8), LATIN1


def _is_utf8(data: bytes) -> bool:
    decoder = codecs.getincrementaldecoder(UTF8)()
    try:
        for start in range(0, len(data), _BYTES_AT_ONCE):
            decoder.decode(data[start : start + _BYTES_AT_ONCE])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _blocks(data: bytes) -> list[tuple[str, int, int]]:
    """Name of each block, and where its content starts and ends."""
    heads = [(head[1].decode(), head.start(), head.end()) for head in block_heads(data)]
    stops = [head for _, head, _ in heads[1:]] + [len(data)] * bool(heads)
    return [(name, content, stop) for (name, _, content), stop in zip(heads, stops, strict=True)]


def _read_block(path: Path, name: str, text: bytes) -> pd.DataFrame:
    columns: list[str] = []
    values: list[str] = []
    is_loop = False
    position = 0
    while position < len(text):
        end = text.find(b"\n", position)
        end = len(text) if end < 0 else end
        line = text[position:end].decode().strip()
        if line == "loop_":
            is_loop = True
        elif line.startswith("_"):
            column, *rest = line.split(None, 1)
            columns.append(column[1:])
            values.append("".join(rest))
        elif line and not line.startswith("#"):
            break
        position = end + 1
    _check_columns(path, name, columns)
    if not is_loop:
        return _pairs(columns, values)
    text = data_rows(text[position:])
    return _read_rows(path, name, columns, text)


def _check_columns(path: Path, name: str, columns: list[str]) -> None:
    for i, column in enumerate(columns):
        if column in columns[:i]:
            raise DataError(f"{path}: the column _{column} occurs twice in data_{name}. Remove one of them.")


def _pairs(columns: list[str], values: list[str]) -> pd.DataFrame:
    row = {}
    for column, value in zip(columns, values, strict=True):
        token = (words(value[: comment_start(value.encode())]) or [""])[0]
        row[column] = [token if _TEXT_COLUMN.search(column) else _number(token)]
    table = pd.DataFrame(row)
    table.attrs["pairs"] = True
    return table


def _number(token: str) -> int | float | str:
    try:
        number = float(token)
    except ValueError:
        return token
    # As in tables, what is beyond 64 bits is a float.
    return int(token) if _WHOLE.fullmatch(token) and abs(number) < 2**63 else number


def _read_rows(path: Path, name: str, columns: list[str], text: bytes) -> pd.DataFrame:
    text, quote = quoted_alike(text)
    if not text or not columns:
        return pd.DataFrame({column: [] for column in columns})
    _check_width(path, name, len(columns), text, quote)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                io.BytesIO(text), sep=r"\s+", header=None, names=range(len(columns)), index_col=False,
                quotechar=quote.decode(), doublequote=False, keep_default_na=False, low_memory=False,
                dtype={i: str for i, column in enumerate(columns) if _TEXT_COLUMN.search(column)},
                na_values={i: _MISSING for i, c in enumerate(columns) if not _TEXT_COLUMN.search(c)},
            )  # fmt: skip
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise DataError(f"{path}: a row of data_{name} does not have {len(columns)} values ({error}).") from None
    table.columns = columns
    _check_complete(path, name, table, text, quote)
    return table


def _check_width(path: Path, name: str, n_columns: int, text: bytes, quote: bytes, row: int = 0) -> None:
    """Compare a row, that at the start of `text`, with the columns; pandas alone would shift them silently."""
    first = text[: text.find(b"\n") if b"\n" in text else len(text)]
    width = len(re.findall(quote + rb"[^" + quote + rb"]*" + quote + rb"|\S+", first))
    if width != n_columns:
        raise DataError(
            f"{path}: row {row + 1:,} of data_{name} has {width} values for {n_columns} columns. "
            "The file is damaged or cut off."
        )


def _check_complete(path: Path, name: str, table: pd.DataFrame, text: bytes, quote: bytes) -> None:
    """The parser fills up rows that are too short: look at those whose last value is missing."""
    last = table.iloc[:, -1]
    suspects = np.flatnonzero((last.isna() | (last == "")).to_numpy())
    if not len(suspects):
        return
    lines = [line for line in text.split(b"\n") if line.strip()]
    if len(lines) != len(table):
        raise DataError(f"{path}: data_{name} has {len(lines):,} lines for {len(table):,} rows. The file is damaged.")
    for row in suspects:
        _check_width(path, name, len(table.columns), lines[row], quote, row)


def _texts(column: pd.Series) -> list[str]:
    if column.dtype.kind == "f":
        return [f"{value:.10g}" for value in column.tolist()]
    if column.dtype.kind in "iu":
        return list(map(str, column.tolist()))
    return list(map(_plain, column))


def _plain(value: object) -> str:
    if isinstance(value, (float, np.floating)):
        return "nan" if np.isnan(value) else f"{value:.10g}"
    if isinstance(value, (bool, np.bool_)):
        return str(int(value))
    return quoted(str(value))
