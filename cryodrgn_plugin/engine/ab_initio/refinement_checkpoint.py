"""The checkpoint of a refinement of poses: one npz file, replaced whole after every round."""

import dataclasses
import json
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from ..errors import DataError
from ..io.writing import replacing
from .refinement import KnownPoses, Refinement, RoundFigures

POSES = tuple(field.name for field in dataclasses.fields(KnownPoses))


def save_refinement(path: Path, asked: dict[str, Any], refinement: Refinement) -> None:
    """Write where a refinement stands; `asked` (JSON values) is what it was asked for."""
    content = {"asked": asked, "rounds": [dataclasses.asdict(figures) for figures in refinement.rounds]}
    with replacing(path) as temporary:
        arrays = {name: getattr(refinement.poses, name) for name in POSES}
        np.savez(temporary, content=np.array(json.dumps(content)), **arrays)


def load_refinement(path: Path, asked: dict[str, Any]) -> Refinement | None:
    """The refinement that `path` holds, or None where there is no such file.

    Raises DataError when the file cannot be read, or when something else was asked for.
    """
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            content = json.loads(str(stored["content"]))
            poses = KnownPoses(**{name: stored[name] for name in POSES})
        before, rounds = content["asked"], tuple(RoundFigures(**figures) for figures in content["rounds"])
    except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise DataError(f"{path} cannot be read as a checkpoint; remove it to start anew.") from error
    for name in (name for name in {**before, **asked} if asked.get(name) != before.get(name)):
        raise DataError(
            f"{path.parent} was begun with {name} = {before.get(name)!r}, not {asked.get(name)!r}; "
            "resume with the same settings, or start it anew."
        )
    return Refinement(poses, rounds)
