"""Which lines of a STAR `loop_` are rows, as RELION reads them.

A blank line ends the table, and what follows it up to the next `data_` belongs to none. A word that begins with `#`,
outside quotes, begins a comment: the end of a row, or a line of its own (RELION 3.1 refuses such lines among the rows,
STAR does not). `#` within a word is part of it.
"""

import re

_BLANK_LINE = re.compile(rb"\n[ \t\r]*\n")
_WORD = re.compile(rb"\"[^\"]*\"|'[^']*'|\S+")


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
    return next((word.start() for word in _WORD.finditer(line) if word[0].startswith(b"#")), len(line))


def _values(line: bytes) -> bytes:
    return line[: comment_start(line)]
