"""Some rows of a particle file, written as they are: every byte of every value, in the file's order.

A number that is read and written again may come back as another text (0.500000 as 0.5), and a column that nobody knows
may be lost. Here rows are lines of the file (or records of a cryoSPARC file) and are copied.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import DataError
from .cs import read_records
from .optimisation_set import is_tilt_series
from .particles import ParticleTable
from .star import UTF8
from .star_rows import block_heads, comment_start, quoted, word_spans
from .writing import replacing, write_array

_OURS, _LATENT = "cryodrgn", "Latent"
_GROUP, _PER_TILT = "rlnGroupName", ("rlnMicrographName", "rlnCtfBfactor")


@dataclass(frozen=True)
class StarLines:
    """A star file cut up around the rows of its particle table; joined again, it is the file."""

    before: bytes
    """All up to the first row of the particle table."""
    rows: list[bytes]
    """The rows of the table, ends of lines included, each after the comment lines that stand right before it."""
    after: bytes
    """All that follows the last row."""
    columns: tuple[str, ...]

    def text(self, rows: np.ndarray, values: Mapping[str, np.ndarray] | None = None) -> bytes:
        """The file with the rows at `rows` only, and with the columns `values` (name to (N,) values of all rows): in
        the place of those of the file, or last."""
        values = values or {}
        placed = {self.columns.index(name): column for name, column in values.items() if name in self.columns}
        added = {name: column for name, column in values.items() if name not in self.columns}
        labels = [f"_{name} #{len(self.columns) + k}\n".encode() for k, name in enumerate(added, start=1)]
        lines = [self.rows[row] for row in rows]
        if placed:
            changes = ({place: _text(column[row]) for place, column in placed.items()} for row in rows)
            lines = [_changed(line, change) for line, change in zip(lines, changes, strict=True)]
        if added:
            texts = (" ".join(_text(column[row]) for column in added.values()) for row in rows)
            lines = [_with(line, text) for line, text in zip(lines, texts, strict=True)]
        return b"".join([self.before, *labels, *lines, self.after])


def read_lines(path: str | os.PathLike, block: str, n_rows: int) -> StarLines:
    """Cut up a star file around the `loop_` of data_`block`, whose table has `n_rows` rows.

    Raises DataError when the file is not laid out as one line per row.
    """
    data = Path(path).read_bytes()
    heads = list(block_heads(data))
    number = next((k for k, head in enumerate(heads) if head[1].decode(errors="replace") == block), None)
    if number is None:
        raise DataError(f"{path}: there is no block data_{block}.")
    end = heads[number + 1].start() if number + 1 < len(heads) else len(data)
    lines = data[heads[number].end() : end].splitlines(keepends=True)
    kinds = [_kind(line) for line in lines]
    first = kinds.index("row") if "row" in kinds else len(kinds)
    stop = kinds.index("blank", first) if "blank" in kinds[first:] else len(kinds)
    rows = [k for k in range(first, stop) if kinds[k] == "row"]
    columns = tuple(
        line.split()[0][1:].decode(errors="replace")
        for line, kind in zip(lines[:first], kinds, strict=False)
        if kind == "label"
    )
    if len(rows) != n_rows or not columns or "label" in kinds[first:stop]:
        raise DataError(f"{path}: data_{block} is not a table with one line for each of its {n_rows:,} particles.")
    before = data[: heads[number].end()] + b"".join(lines[:first])
    starts = [first, *(row + 1 for row in rows[:-1])]
    cut = [b"".join(lines[start : row + 1]) for start, row in zip(starts, rows, strict=True)]
    return StarLines(before, cut, b"".join(lines[rows[-1] + 1 :]) + data[end:], columns)


def write_chosen(
    table: ParticleTable, rows: np.ndarray, path: Path, added: Mapping[str, np.ndarray] | None = None
) -> Path:
    """Write the particles of `table` at `rows` in the format of its file; returns the path, with that format's ending.

    Of tilt series, whose rows here are tilt images, the particles of those images are written.

    Parameters
    ----------
    rows : (n,) rows from 0; they are written in the file's order, whatever their own.
    path : where to, without ending.
    added : columns for all rows of the table, to come after the file's own; in files of cryoSPARC they are fields, see
        `_field`. A name the file has already is refused.

    Raises
    ------
    DataError : columns are to be added that the file has already or whose format takes none.
    """
    rows, added = np.sort(np.asarray(rows, np.int64)), dict(added or {})
    taken = [name for name in added if name in table.frame]
    if taken:
        raise DataError(f"{table.path}: it has a column {taken[0]} already; remove it, or select without annotate.")
    if table.path.suffix == ".cs":
        return _write_records(table.path, rows, path.with_name(path.name + ".cs"), added)
    if table.tilts is not None:
        lines, first = particle_lines(table.tilts.particles), np.unique(table.tilts.particle, return_index=True)[1]
        rows, added = np.unique(table.tilts.particle[rows]), {name: column[first] for name, column in added.items()}
    else:
        lines = particle_lines(table)
    target = path.with_name(path.name + ".star")
    with replacing(target) as temporary:
        temporary.write_bytes(lines.text(rows, added))
    return target


def write_renamed(table: ParticleTable, rows: np.ndarray, names: list[str], path: Path) -> None:
    """Write the particles at `rows` with other images, `names` in the order of `rows`, and all else byte for byte.

    Raises DataError for files that are not particle star files.
    """
    require_rows_of_images(table)
    lines, before = particle_lines(table), table.image_names
    encoding = table.frame.attrs.get("encoding", UTF8)
    for row, name in zip(rows, names, strict=True):
        lines.rows[row] = lines.rows[row].replace(before[row].encode(encoding), os.fsencode(name), 1)
    with replacing(path) as temporary:
        temporary.write_bytes(lines.text(rows))


def require_rows_of_images(table: ParticleTable) -> None:
    """Raise DataError for files in which no row names an image of its own: those that are no particle star files."""
    if table.path.suffix == ".cs" or is_tilt_series(table.path):
        raise DataError(f"{table.path}: images can be put in place of others in particle star files only.")


def particle_of_image(table: ParticleTable) -> np.ndarray:
    """(N,) number of the particle that each row shows, from 0 in the file's order: tilts of one particle share it."""
    name = particle_name(table)
    if name is None:
        return np.arange(table.n)
    return pd.factorize(table.frame[name], use_na_sentinel=False)[0]


def particle_name(table: ParticleTable) -> str | None:
    """The column that says whose image a row is, or None where every row is a particle.

    M writes tilt images as a table of single particles whose rlnGroupName is that of the particle. Elsewhere a group is
    a micrograph or several; so groups are particles only where every image of a group is from another micrograph and
    has had another dose, which M states as the B-factor.
    """
    if "rlnTomoParticleName" in table.frame:
        return "rlnTomoParticleName"
    if not {_GROUP, *_PER_TILT} <= set(table.frame):
        return None
    many = table.frame[_GROUP].duplicated(keep=False)
    repeated = any(table.frame.duplicated([_GROUP, name])[many].any() for name in _PER_TILT)
    return _GROUP if many.any() and not repeated else None


def particle_lines(table: ParticleTable) -> StarLines:
    """The lines of the particles of a star file."""
    block = next(name for name, block in table.tables.items() if block is table.frame)
    return read_lines(table.path, block, table.n)


def _write_records(source: Path, rows: np.ndarray, target: Path, added: Mapping[str, np.ndarray]) -> Path:
    records = read_records(source)
    fields = {_field(name): np.asarray(column) for name, column in added.items()}
    taken = [name for name in fields if name in (records.dtype.names or ())]
    if taken:
        raise DataError(f"{source}: it has a field {taken[0]} already; select without annotate, or use export.")
    chosen = records[rows]
    if fields:
        kinds = [(name, np.float32 if column.dtype.kind == "f" else np.int32) for name, column in fields.items()]
        wider = np.zeros(len(rows), [*chosen.dtype.descr, *kinds])
        for name in chosen.dtype.names or ():
            wider[name] = chosen[name]
        for name, column in fields.items():
            wider[name] = column[rows]
        chosen = wider
    write_array(target, chosen)
    return target


def _field(column: str) -> str:
    """What a column is called in a file of cryoSPARC: latents as its components, counted from 0."""
    name = column.removeprefix(_OURS)
    if name.startswith(_LATENT) and name.removeprefix(_LATENT).isdecimal():
        return f"components_mode_{int(name.removeprefix(_LATENT)) - 1}/value"
    return f"{_OURS}/{name.lower()}"


def _kind(line: bytes) -> str:
    """What a line of a table block is: blank, a comment, the loop's head, a label or a row."""
    text = line.strip()
    if not text:
        return "blank"
    if text.startswith(b"#"):
        return "comment"
    if text == b"loop_":
        return "loop"
    return "label" if text.startswith(b"_") else "row"


def _with(row: bytes, value: str) -> bytes:
    """A row with one more value, which comes before a comment at its end."""
    start = row.rstrip(b"\r\n").rfind(b"\n") + 1
    lines_before, line = row[:start], row[start:]
    comment = comment_start(line)
    end = b" " + line[comment:] if comment < len(line) else line[len(line.rstrip(b"\r\n")) :] or b"\n"
    return lines_before + line[:comment].rstrip() + b" " + value.encode() + end


def _changed(row: bytes, values: Mapping[int, str]) -> bytes:
    """A row with other values at some places, counted from 0; all else in it stays."""
    start = row.rstrip(b"\r\n").rfind(b"\n") + 1
    line, parts, done = row[start:], [row[:start]], 0
    for place, (first, last) in enumerate(word_spans(line)):
        if place in values:
            parts += [line[done:first], values[place].encode()]
            done = last
    return b"".join([*parts, line[done:]])


def _text(value: object) -> str:
    return f"{value:.7g}" if isinstance(value, (float, np.floating)) else quoted(str(value))
