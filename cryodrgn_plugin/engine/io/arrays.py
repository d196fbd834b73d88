"""Arrays that a run keeps between its commands: npz files, read whole, never unpickled."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from ..errors import DataError


def read_arrays(path: Path, *needed: str) -> dict[str, np.ndarray]:
    """All arrays of an npz by name.

    Raises FileNotFoundError where there is no such file, DataError where it is damaged or lacks one that is `needed`.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        raise
    except (OSError, EOFError, ValueError, AttributeError, BadZipFile) as error:
        raise DataError(f"{path} is damaged; remove it, and run again what made it.") from error
    if missing := [name for name in needed if name not in arrays]:
        raise DataError(f"{path} has no {missing[0]}: it is another file, or of another version; make it anew.")
    return arrays
