"""Settings as programs write them in YAML: nested mappings and lists of plain values, of the block style. Nothing else
of YAML is understood, so that nothing in a file can be made or called; what is not understood stays text.
"""

import os
import re
from pathlib import Path
from typing import Any

_KEY = re.compile(r"""("[^"]*"|'[^']*'|[^\s'"\-#][^:#]*?)\s*:(?:\s+(.*))?$""")
_WORDS: dict[str, Any] = {"null": None, "~": None, "": None, "true": True, "false": False, "{}": {}, "[]": []}
_MOST_BYTES = 2**22


def read_plain_yaml(path: str | os.PathLike) -> dict[str, Any]:
    """The mapping that a file holds. Raises OSError, and ValueError for what is no mapping or larger than settings are.

    Values are numbers, words, truth values, None, and mappings and lists of these.
    """
    if os.path.getsize(path) > _MOST_BYTES:
        raise ValueError("it is too large to be settings")
    root: dict[str, Any] = {}
    around: list[tuple[int, dict[str, Any], str]] = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        body, indent = line.strip(), len(line) - len(line.lstrip(" "))
        if not body or body.startswith("#") or body in ("---", "..."):
            continue
        is_item = body == "-" or body.startswith("- ")
        key = None if is_item else _KEY.match(body)
        while around and (around[-1][0] > indent or (key and around[-1][0] == indent)):
            around.pop()
        if key:
            mapping = _inner(around[-1], {}) if around else root
            name = key[1].strip("'\"")
            mapping[name] = key[2] or ""
            around.append((indent, mapping, name))
        elif not around:
            raise ValueError(f"it has the line {body[:40]!r} where a name is due")
        elif is_item:
            _inner(around[-1], []).append(body[1:].strip())
        else:
            _continued(around[-1], body)
    return _values(root)


def _inner(entry: tuple[int, dict[str, Any], str], empty: Any) -> Any:
    """The mapping or list under a name; made where there is nothing yet."""
    _, mapping, name = entry
    if mapping[name] == "":
        mapping[name] = empty
    if not isinstance(mapping[name], type(empty)):
        raise ValueError(f"{name} has a value and entries")
    return mapping[name]


def _continued(entry: tuple[int, dict[str, Any], str], body: str) -> None:
    """A long text goes on in the next line."""
    _, mapping, name = entry
    value = mapping[name]
    if isinstance(value, list) and value:
        value[-1] += f" {body}"
    elif isinstance(value, str):
        mapping[name] = f"{value} {body}".strip()
    else:
        raise ValueError(f"it has the line {body[:40]!r} where a name is due")


def _values(text: Any) -> Any:
    if isinstance(text, dict):
        return {name: _values(value) for name, value in text.items()}
    if isinstance(text, list):
        return [_values(value) for value in text]
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1].replace("''", "'") if text[0] == "'" else text[1:-1]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
