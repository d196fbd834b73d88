"""Whether the atomic model of a training is still the one that it was begun with, wherever it is resumed from."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..config import RunConfig
from ..errors import DataError
from ..run import Run
from .atomic_model import AtomicModel
from .model_reading import read_model
from .packed_model import packed

MODEL = "atomic_model"
"""The note in run.json that says which model a training moves: its `file`, how many `atoms` it has, and a `digest`."""


def settle_model(run: Run, config: RunConfig, resumes: bool) -> RunConfig:
    """The settings with the file of the model as it is found from here; of decoders without one, as they are.

    A run notes its model, and is resumed with that one only: a file is looked for where it was, where its name leads
    from the working folder, and from the folders around the run. Raises DataError where it is gone or another model
    lies there.
    """
    if config.decoder.kind != "atoms" or not config.atoms.model:
        return config
    noted = run.info.get("notes", {}).get(MODEL)
    before = noted if resumes and isinstance(noted, dict) else None
    file, now = _found(run, config.atoms.model, before)
    if before is None or before.get("file") != now["file"]:
        run.note(**{MODEL: now})
    return replace(config, atoms=replace(config.atoms, model=str(file)))


def _found(run: Run, name: str, before: dict[str, Any] | None) -> tuple[Path, dict[str, Any]]:
    """The file of the model, and the note of it."""
    different = ""
    for file in _places(run, name, before):
        now = {"file": str(file.absolute()), **_told_by(read_model(file))}
        if before is None or now["digest"] == before.get("digest"):
            return file, now
        different = different or f"{file} {_difference(before, now)}"
    if not different:
        raise DataError(
            f"The atomic model {name}, with which {run.path} was begun, is not there any more; name its file with "
            "--atoms.model to resume."
        )
    raise DataError(
        f"{different} since {run.path} was begun with it. Put back what it was, or name with --atoms.model the file "
        "that it is in now; for another model start a run anew."
    )


def _places(run: Run, name: str, before: dict[str, Any] | None) -> Iterator[Path]:
    """Files that the model may be; one that nothing was noted of is taken from where its name leads alone."""
    path = Path(name)
    if before is None:
        return iter([path])
    around = [base / path for base in run.path.resolve().parents]
    files = dict.fromkeys([path, Path(str(before.get("file", ""))), *around])
    return (file for file in files if file.is_file())


def _told_by(model: AtomicModel) -> dict[str, Any]:
    digest = hashlib.sha256()
    for name, tensor in sorted(packed(model).items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.numpy()).tobytes())
    return {"atoms": len(model), "digest": digest.hexdigest()[:32]}


def _difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    if before.get("atoms") != now["atoms"]:
        return f"has {now['atoms']:,} atoms where it had {before.get('atoms', 0):,}"
    return "has its atoms in other places, or under other names,"
