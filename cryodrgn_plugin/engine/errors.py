"""The two errors a user can cause. Their message is one clear sentence: what was found, where, what to do.

Every front (command line, Scipion, RELION) prints the message alone, without a traceback.
"""


class EngineError(Exception):
    """Base of the errors that are explained to the user instead of traced."""


class ConfigError(EngineError):
    """A setting is out of range or contradicts another."""


class DataError(EngineError):
    """A file or its content cannot be used."""
