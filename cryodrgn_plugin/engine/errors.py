"""The two errors a user can cause. Their message is one clear sentence: what was found, where, what to do.

Every front (command line, Scipion, RELION) prints the message alone, without a traceback.
"""

import errno
import re

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says of a full disk, a quota that is used up, or a file that may not grow."""
_ENDLESS_WORD = re.compile(r"(\S{200})\S{200,}")


class EngineError(Exception):
    """Base of the errors that are explained to the user instead of traced.

    What a damaged file holds in place of a word may be endless, so the sentence shows its beginning.
    """

    def __init__(self, sentence: str = "") -> None:
        super().__init__(_ENDLESS_WORD.sub(r"\1…", sentence))


class ConfigError(EngineError):
    """A setting is out of range or contradicts another."""


class DataError(EngineError):
    """A file or its content cannot be used."""


def explain(error: BaseException) -> str:
    """One sentence for a person: the message of our own errors and of a full disk, else what kind of bug it was."""
    if isinstance(error, EngineError):
        return str(error)
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        where = f" while writing {error.filename}" if error.filename else ""
        return f"The disk is full{where}; free some space and resume the run."
    if isinstance(error, MemoryError):
        return "There was not enough memory; lower data.box or data.cache_mb, or use fewer particles."
    return f"Unexpected error, a bug: {type(error).__name__}: {error}. The traceback is in run.log."
