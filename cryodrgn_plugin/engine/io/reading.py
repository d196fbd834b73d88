"""Files that anybody may have written: whatever is wrong with one ends in a DataError that names it.

A reader says what it knows to be wrong in sentences of its own. What it did not foresee, in the libraries below it as
well, is one sentence here; the error that was met stays its cause.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, EngineError

WHY = "{why}"
"""In a sentence for `understood`, what was met."""
_LONGEST = 200


@contextmanager
def understood(sentence: str, missing_ok: bool = False) -> Iterator[None]:
    """Read a file in this block. Whatever goes wrong there is `sentence`: which file, what it is not, what to do.

    Raises
    ------
    DataError : whatever is not one already.
    FileNotFoundError : there is no such file, where the reader wants to know (`missing_ok`).
    """
    try:
        yield
    except EngineError:
        raise
    except OSError as error:
        if missing_ok and isinstance(error, FileNotFoundError):
            raise
        raise DataError(sentence.replace(WHY, error.strerror or _in_short(error))) from error
    except MemoryError as error:
        raise DataError(sentence.replace(WHY, "it asks for more memory than there is")) from error
    except Exception as error:
        raise DataError(sentence.replace(WHY, _in_short(error))) from error


def read_object(path: Path, sentence: str) -> dict[str, Any]:
    """The JSON object in a file; a key that it, or an object in it, lacks is a DataError of its own when asked for.

    Raises FileNotFoundError where there is no such file, and DataError(`sentence`) where it holds something else.
    """
    with understood(sentence, missing_ok=True):
        text = path.read_text(encoding="utf-8")
        content = json.loads(text, object_hook=lambda values: _Object.of(path, sentence, values))
    if not isinstance(content, dict):
        raise DataError(sentence.replace(WHY, "it holds no JSON object"))
    return content


class _Object(dict):
    """A JSON object of a file; copies are made as of any dictionary."""

    file, sentence = "A file", "It is damaged."

    @classmethod
    def of(cls, path: Path, sentence: str, values: dict[str, Any]) -> "_Object":
        made = cls(values)
        made.file, made.sentence = path.name, sentence
        return made

    def __missing__(self, key: str) -> Any:
        raise DataError(f"{self.file} has no {key!r}: {self.sentence.replace(WHY, 'a part is missing')}")


def _in_short(error: BaseException) -> str:
    """What a library said, on one line."""
    text = " ".join(str(error).split()).rstrip(".")
    text = text if len(text) <= _LONGEST else text[:_LONGEST] + " …"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def require_rows(path: Path, name: str, values: np.ndarray, good: np.ndarray, what: str) -> None:
    """Raise DataError unless all (N,) values of a column are `good` (N,), which is `what` they must be in words."""
    bad = np.flatnonzero(~good)
    if len(bad):
        raise DataError(
            f"{path}: {name} of row {bad[0] + 1:,} is {values[bad[0]]:g} ({len(bad):,} such rows); it must be {what}. "
            "Correct it."
        )
