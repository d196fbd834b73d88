"""STAR files as pandas tables, without losing what RELION put there.

A header scan finds the blocks; pandas' C parser reads each table (a million rows in seconds). Names stay strings
('001' is an optics group name, not a number), `nan` is a missing number, and columns and rows keep their order.
"""

import io
import os
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import DataError
from .star_rows import data_rows
from .writing import replacing

_TEXT_COLUMN = re.compile(r"(Name|Label|File|Filename|Star|Path|Type|Comment|VisibleFrames|TomoProj[XYZW])$")
_ROWS_AT_ONCE = 50_000
_MISSING = ["nan", "NaN", "-nan", "NAN", "<NA>", "null"]


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
    DataError : the file is absent, empty, not a STAR file, names a column twice, or has a row of the wrong length.
    """
    path = Path(path)
    data = _content(path)
    blocks = _blocks(data)
    if not blocks:
        what = "is empty" if not data.strip() else "has no data_ block, so it is not a STAR file"
        raise DataError(f"{path}: the file {what}. Give a RELION particles star file.")
    tables: dict[str, pd.DataFrame] = {}
    for name, start, end in blocks:
        if name in tables:
            raise DataError(f"{path}: the block data_{name} occurs twice. Keep one of them.")
        tables[name] = _read_block(path, name, data[start:end])
    return tables


def write_star(path: str | os.PathLike, tables: dict[str, pd.DataFrame]) -> None:
    """Write tables as a STAR file that RELION 3.1 and later read; the file appears whole or not at all.

    Numbers have ten significant digits; text with spaces is quoted and empty text written as "".

    Raises
    ------
    DataError : the disk is full or the folder cannot be written.
    """
    with replacing(path) as temporary, open(temporary, "w", newline="") as out:
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


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file. Check the path of the star file.") from None
    except (IsADirectoryError, PermissionError) as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Give a RELION particles star file.") from None


def _blocks(data: bytes) -> list[tuple[str, int, int]]:
    """Name of each block, and where its content starts and ends."""
    heads: list[tuple[str, int, int]] = []
    start = data.find(b"data_")
    while start >= 0:
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        words = data[start:end].split()
        if (start == 0 or data[start - 1 : start] == b"\n") and len(words) == 1:
            heads.append((words[0][5:].decode(errors="replace"), start, end))
        start = data.find(b"data_", start + 5)
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
        line = text[position:end].decode(errors="replace").strip()
        if line == "loop_":
            is_loop = True
        elif line.startswith("_"):
            column, _, rest = line.partition(" ") if " " in line else line.partition("\t")
            columns.append(column[1:])
            values.append(rest.strip())
        elif line and not line.startswith("#"):
            break
        position = end + 1
    _check_columns(path, name, columns)
    if not is_loop:
        return _pairs(columns, values)
    return _read_rows(path, name, columns, text[position:])


def _check_columns(path: Path, name: str, columns: list[str]) -> None:
    for i, column in enumerate(columns):
        if column in columns[:i]:
            raise DataError(f"{path}: the column _{column} occurs twice in data_{name}. Remove one of them.")


def _pairs(columns: list[str], values: list[str]) -> pd.DataFrame:
    row = {}
    for column, value in zip(columns, values, strict=True):
        token = (shlex.split(value, comments=True) or [""])[0]
        row[column] = [token if _TEXT_COLUMN.search(column) else _number(token)]
    table = pd.DataFrame(row)
    table.attrs["pairs"] = True
    return table


def _number(token: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(token)
        except ValueError:
            continue
    return token


def _read_rows(path: Path, name: str, columns: list[str], text: bytes) -> pd.DataFrame:
    text = data_rows(text)
    if not text or not columns:
        return pd.DataFrame({column: [] for column in columns})
    _check_width(path, name, columns, text)
    quote = '"' if b'"' in text else "'"
    try:
        table = pd.read_csv(
            io.BytesIO(text), sep=r"\s+", header=None, names=range(len(columns)), index_col=False, quotechar=quote,
            dtype={i: str for i, column in enumerate(columns) if _TEXT_COLUMN.search(column)},
            keep_default_na=False, na_values={i: _MISSING for i, c in enumerate(columns) if not _TEXT_COLUMN.search(c)},
            low_memory=False,
        )  # fmt: skip
    except pd.errors.ParserError as error:
        raise DataError(f"{path}: a row of data_{name} does not have {len(columns)} values ({error}).") from None
    table.columns = columns
    _check_complete(path, name, table, text)
    return table


def _check_width(path: Path, name: str, columns: list[str], text: bytes) -> None:
    """Compare the first row with the columns; pandas alone would shift them silently."""
    first = text[: text.find(b"\n") if b"\n" in text else len(text)].decode(errors="replace")
    width = len(_tokens(first))
    if width != len(columns):
        raise DataError(
            f"{path}: row 1 of data_{name} has {width} values for {len(columns)} columns. "
            "The file is damaged or cut off."
        )


def _check_complete(path: Path, name: str, table: pd.DataFrame, text: bytes) -> None:
    """The parser fills up rows that are too short: look at those whose last value is missing."""
    last = table.iloc[:, -1]
    suspects = np.flatnonzero((last.isna() | (last == "")).to_numpy())
    if not len(suspects):
        return
    lines = [line for line in text.decode(errors="replace").splitlines() if line.strip()]
    for row in suspects:
        width = len(_tokens(lines[row]))
        if width != len(table.columns):
            raise DataError(
                f"{path}: row {row + 1:,} of data_{name} has {width} values for {len(table.columns)} columns. "
                "The file is damaged or cut off."
            )


def _tokens(line: str) -> list[str]:
    return re.findall(r"\"[^\"]*\"|'[^']*'|\S+", line)


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
    text = str(value)
    return f'"{text}"' if not text or re.search(r"\s", text) else text
