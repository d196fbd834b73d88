"""The checkpoint of a refinement of poses: one npz file, replaced whole after every round."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from ..io.arrays import arrays_of
from ..io.fingerprint import changes
from ..io.reading import understood
from ..io.writing import replacing
from .refinement import KnownPoses, Refinement, RoundFigures

SOURCE = "source"
"""In what a refinement was asked for, the fingerprint of its particles."""
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
    with understood(f"{path} cannot be read as a checkpoint; remove it to start anew."):
        stored = arrays_of(path)
        content = json.loads(str(stored["content"]))
        poses = KnownPoses(**{name: stored[name] for name in POSES})
        before, rounds = dict(content["asked"]), tuple(RoundFigures(**figures) for figures in content["rounds"])
    if differences := changes(dict(before.pop(SOURCE, {})), asked.get(SOURCE, {})):
        raise DataError(
            f"{path.parent} was begun with other particles: the file {' and '.join(differences)}. Put back what it was "
            "to resume, or start it anew."
        )
    asked = {name: value for name, value in asked.items() if name != SOURCE}
    for name in (name for name in {**before, **asked} if asked.get(name) != before.get(name)):
        raise DataError(
            f"{path.parent} was begun with {name} = {before.get(name)!r}, not {asked.get(name)!r}; "
            "resume with the same settings, or start it anew."
        )
    return Refinement(poses, rounds)
