"""Which lines of a STAR `loop_` are rows and which words are values, as RELION reads them.

A blank line ends the table, and what follows it up to the next `data_` belongs to none. A word that begins with a
quote, of either kind, reaches to the next quote of that kind that ends a word; quotes within a word are letters. A word
that begins with `#`, outside quotes, begins a comment: the end of a row, or a line of its own (RELION 3.1 refuses such
lines among the rows, STAR does not). `#` within a word is part of it.
"""

import re
from collections.abc import Iterator

_HEAD = re.compile(rb"^(?:\xef\xbb\xbf)?[ \t]*data_(\S*)[ \t\r]*$", re.MULTILINE)
_WIDEST_INDENT = 200
_BLANK_LINE = re.compile(rb"\n[ \t\r]*\n")
_IN_QUOTES = r"\"(?:[^\"\n]|\"(?=\S)){0,4096}\"(?!\S)|'(?:[^'\n]|'(?=\S)){0,4096}'(?!\S)"
_WORD = re.compile(_IN_QUOTES + r"|\S+", re.ASCII)
_WORD_BYTES = re.compile(_WORD.pattern.encode())
_QUOTED = re.compile(rb"(?<!\S)(?:" + _IN_QUOTES.encode() + rb")")
_CONTROL = [bytes([code]) for code in range(1, 9)]


def block_heads(data: bytes) -> Iterator[re.Match[bytes]]:
    """The lines that begin a block, with its name; the first of a file may come after a byte order mark."""
    found = data.find(b"data_")
    while found >= 0:
        near = max(0, found - _WIDEST_INDENT)
        start = data.rfind(b"\n", near, found) + 1 or near
        head = _HEAD.match(data, start)
        if head is not None:
            yield head
        found = data.find(b"data_", max(found, head.end() if head else 0) + 1)


def data_rows(text: bytes) -> bytes:
    """The rows alone, one line each, of a text that starts with the first of them (or with comments before it)."""
    blank = _BLANK_LINE.search(text)
    text = text[: blank.start()] if blank else text
    if b"#" in text:
        text = b"\n".join(line for line in map(_values, text.split(b"\n")) if line.strip())
    return text.rstrip()


def comment_start(line: bytes) -> int:
    """Where the comment in a line begins; the length of the line where there is none."""
    if b"#" not in line:
        return len(line)
    return next((word.start() for word in _WORD_BYTES.finditer(line) if word[0].startswith(b"#")), len(line))


def words(line: str) -> list[str]:
    """The values of a row, quotes taken off."""
    return [_bare(word) for word in _WORD.findall(line)]


def word_spans(line: bytes) -> list[tuple[int, int]]:
    """Where each value of a row begins and ends, quotes included."""
    return [word.span() for word in _WORD_BYTES.finditer(line[: comment_start(line)])]


def quoted_alike(text: bytes) -> tuple[bytes, bytes]:
    """The same rows with one character around every quoted value, which occurs nowhere else in them, and that
    character.

    Raises ValueError where no character is left to stand for quotes.
    """
    mark = next((code for code in _CONTROL if code not in text), None)
    if mark is None:
        raise ValueError("it is full of control characters")
    if b'"' in text or b"'" in text:
        text = _QUOTED.sub(lambda value: mark + value[0][1:-1] + mark, text)
    return text, mark


def quoted(text: str) -> str:
    """A value as a word that is read as that value: in quotes where it would be taken for something else without."""
    bare = _WORD.findall(text)
    if bare == [text] and text[0] not in "#\"'":
        return text
    for quote in "\"'":
        if words(f"{quote}{text}{quote}") == [text]:
            return f"{quote}{text}{quote}"
    # No quote can hold it: what ends a word after a quote is taken out.
    return '"' + re.sub(r"[\"\n]", "", text) + '"'


def _bare(word: str) -> str:
    return word[1:-1] if len(word) > 1 and word[0] in "\"'" and word[-1] == word[0] else word


def _values(line: bytes) -> bytes:
    return line[: comment_start(line)]
