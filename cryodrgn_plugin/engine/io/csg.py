"""cryoSPARC's result groups (.csg): which .cs file holds each kind of result of a job's particles.

A group is a small YAML file; what matters of it are lines `metafile:` under the names of results. A path that begins
with '>' starts from the folder of the group.
"""

import os
import re
from datetime import UTC, datetime
from pathlib import Path

from ..errors import DataError
from .reading import WHY, understood
from .writing import write_text

_RESULT = re.compile(r"^  ([^\s:]+):\s*$")
_METAFILE = re.compile(r"^    metafile:\s*['\"]?(.+?)['\"]?\s*$")
_OF_A_CLASS = re.compile(r"alignments_class_\d+$|alignments3D_?\d+$")
_MODE = re.compile(r"components_mode_\d+$")
_LARGEST = 2**20


def files_of_group(path: str | os.PathLike) -> list[Path]:
    """The .cs files of a result group: first the job's own, or else that of the images, then those passed through.

    Raises
    ------
    DataError : not a group of particles, or its files are not there.
    """
    path = Path(path)
    advice = "Give the .csg or the .cs file of a job's particles."
    with understood(f"{path}: cannot be read as a cryoSPARC result group ({WHY}). {advice}"), open(path, "rb") as group:
        lines = group.read(_LARGEST).decode().splitlines()
    metafiles: dict[str, str] = {}
    result = ""
    for line in lines:
        if named := _RESULT.match(line):
            result = named[1]
        elif result and (listed := _METAFILE.match(line)):
            metafiles[result] = listed[1]
    if "blob" not in metafiles:
        raise DataError(f"{path}: this result group names no particle images (blob under results). {advice}")
    own = [name for name in metafiles.values() if "passthrough" not in Path(name).name]
    files = [_located(path, name) for name in dict.fromkeys((*own, metafiles["blob"], *metafiles.values()))]
    for file in files:
        if not file.is_file():
            raise DataError(f"{path}: {file}, which it names, is not there. Put the files of the group beside it.")
    return files


def write_group(path: Path, cs_file: Path, fields: tuple[str, ...], n: int, title: str) -> None:
    """Write the group that cryoSPARC imports: `n` particles with `fields`, all of them in `cs_file` beside it."""
    slots = sorted({name.rpartition("/")[0] for name in fields if "/" in name})
    results = "".join(
        f"  {slot}:\n    metafile: '>{cs_file.name}'\n    num_items: {n}\n    type: particle.{_kind(slot)}\n"
        for slot in slots
    )
    head = f"  description: {title}\n  name: particles\n  title: {title}\n  type: particle\n"
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"
    write_text(path, f"created: {made}\ngroup:\n{head}results:\n{results}version: v4.0.0\n")


def _located(group: Path, name: str) -> Path:
    folder = group.parent
    if name.startswith(">"):
        return folder / name.lstrip(">")
    # Paths of a job start from the project, some folders above it.
    return next((base / name for base in (folder, *folder.resolve().parents) if (base / name).is_file()), Path(name))


def _kind(slot: str) -> str:
    """What cryoSPARC calls the kind of a result that its fields name `slot`."""
    if _MODE.match(slot):
        return "components"
    return "alignments3D" if _OF_A_CLASS.match(slot) else slot
