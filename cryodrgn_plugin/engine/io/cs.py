"""cryoSPARC particle files (.cs, format 1: a numpy structured array) as a RELION-like particle table.

cryoSPARC states a pose as a rotation vector, of which RELION's rotation is the transposed matrix, shifts in pixels of
the alignment with the sign of rlnOrigin, angles in radians and paths that may begin with '>'.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial.transform import Rotation

from ..errors import DataError
from ..geometry.rotations import euler_from_matrices
from .arrays import read_npy
from .particles import EULER, ParticleTable
from .reading import understood

_COLUMNS = {
    "rlnDefocusU": "ctf/df1_A",
    "rlnDefocusV": "ctf/df2_A",
    "rlnCtfScalefactor": "ctf/scale",
    "rlnCtfBfactor": "ctf/bfactor",
}
_IN_RADIANS = {"rlnDefocusAngle": "ctf/df_angle_rad", "rlnPhaseShift": "ctf/phase_shift_rad"}
_OPTICS = {
    "rlnVoltage": "ctf/accel_kv",
    "rlnSphericalAberration": "ctf/cs_mm",
    "rlnAmplitudeContrast": "ctf/amp_contrast",
    "rlnImagePixelSize": "blob/psize_A",
}


_ADVICE = "Give a particles file of a cryoSPARC job."
_NOT_READ = "{path}: cannot be read as a cryoSPARC particles file ({why}). " + _ADVICE


def read_cs(path: str | os.PathLike, passthrough: Sequence[str | os.PathLike] = ()) -> ParticleTable:
    """Particles of a .cs file, with the columns RELION 3.1 would give them.

    Parameters
    ----------
    path : particles of a cryoSPARC job.
    passthrough : files whose fields are added by particle (`uid`), as cryoSPARC splits them.

    Returns
    -------
    One row per particle in the file's order; `cryosparcUid` leads back to it. Optics groups are exposure groups, cut
    up where particles of one have different optics.

    Raises
    ------
    DataError : not a .cs file of format 1, no particles, or no image locations.
    """
    path = Path(path)
    with understood(_NOT_READ.replace("{path}", str(path))):
        return _table(path, passthrough)


def _table(path: Path, passthrough: Sequence[str | os.PathLike]) -> ParticleTable:
    fields = _fields(path)
    for other in passthrough:
        _merge(fields, _fields(Path(other)), path, Path(other))
    for name in ("blob/path", "blob/idx", "blob/psize_A", "blob/shape"):
        if name not in fields:
            raise DataError(
                f"{path}: it has no field {name}. Give the job's particles file, or its passthrough file too."
            )
    n = len(fields["blob/idx"])
    if not n:
        raise DataError(f"{path}: it lists no particles. Select some and export again.")
    _check_shapes(fields, path)
    stacks = [_text(name).lstrip(">") for name in fields["blob/path"]]
    table = {"rlnImageName": [f"{i + 1}@{stack}" for i, stack in zip(fields["blob/idx"], stacks, strict=True)]}
    if "uid" in fields:
        table["cryosparcUid"] = fields["uid"]
    table |= {name: fields[field].astype(np.float64) for name, field in _COLUMNS.items() if field in fields}
    table |= {
        name: np.degrees(fields[field].astype(np.float64)) for name, field in _IN_RADIANS.items() if field in fields
    }
    table |= _poses(fields)
    optics, group = _optics(fields)
    frame = pd.DataFrame(table | {"rlnOpticsGroup": group})
    return ParticleTable(path, frame, optics, {"optics": optics, "particles": frame})


def read_records(path: str | os.PathLike) -> np.ndarray:
    """(N,) records of a .cs file as they are. Raises DataError as `read_cs` does."""
    path = Path(path)
    with understood(_NOT_READ.replace("{path}", str(path))), open(path, "rb") as file:
        if file.read(6) == b"\x95CSDAT":
            raise DataError(
                f"{path}: this is cryoSPARC's compressed format, which is not read. Export the particles to a star "
                "file, or save them with cryosparc-tools in the numpy format."
            )
        file.seek(0)
        records = read_npy(file, os.fstat(file.fileno()).st_size)
        if records.dtype.names is None or records.ndim != 1:
            raise DataError(f"{path}: this is a plain array and not a cryoSPARC particles file.")
    return records


def _fields(path: Path) -> dict[str, np.ndarray]:
    records = read_records(path)
    return {name: records[name] for name in records.dtype.names or ()}


def _merge(fields: dict[str, np.ndarray], others: dict[str, np.ndarray], path: Path, other: Path) -> None:
    if "uid" not in fields or "uid" not in others:
        raise DataError(f"{other}: it cannot be joined to {path}, because one of them has no field uid.")
    other_rows = pd.Index(others["uid"]).get_indexer(fields["uid"])
    if (other_rows < 0).any():
        raise DataError(
            f"{other}: {int((other_rows < 0).sum()):,} of the {len(other_rows):,} particles of {path} are not in it. "
            "Give the passthrough file of the same job."
        )
    for name, values in others.items():
        fields.setdefault(name, values[other_rows])


def _poses(fields: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Angles and origins, or nothing. Of several alignments of a particle the most probable is taken."""
    prefix = next((p for p in ("alignments3D", "alignments3D_multi") if f"{p}/pose" in fields), None)
    if prefix is None:
        return {}
    poses, shifts = fields[f"{prefix}/pose"], fields[f"{prefix}/shift"]
    pixel = fields.get(f"{prefix}/psize_A", fields["blob/psize_A"]).astype(np.float64)
    if poses.ndim == 3:
        posterior = fields.get(f"{prefix}/class_posterior", np.zeros(poses.shape[:2]))
        best = (np.arange(len(poses)), posterior.argmax(1))
        poses, shifts = poses[best], shifts[best]
        pixel = pixel[best] if pixel.ndim == 2 else pixel
    matrices = np.swapaxes(Rotation.from_rotvec(poses.astype(np.float64)).as_matrix(), 1, 2)
    angles = euler_from_matrices(matrices)
    origins = shifts * pixel[:, None]
    return dict(zip(EULER, angles.T, strict=True)) | {
        "rlnOriginXAngst": origins[:, 0],
        "rlnOriginYAngst": origins[:, 1],
    }


def _optics(fields: dict[str, np.ndarray]) -> tuple[pd.DataFrame, np.ndarray]:
    """The optics table and the group of each particle: one for every exposure group, image size and set of optics.

    cryoSPARC states optics per particle, and exposure groups of jobs that were joined share their numbers.
    """
    box = fields["blob/shape"][:, 0].astype(np.int64)
    exposure = fields.get("ctf/exp_group_id", np.zeros(len(box), np.int64)).astype(np.int64)
    values = {name: fields[field].astype(np.float64) for name, field in _OPTICS.items() if field in fields}
    keys = np.column_stack([exposure, box, *values.values()])
    _, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    named = pd.Series([f"opticsGroup{exposure[row]}" for row in first])
    again = named.groupby(named).cumcount()
    table: dict[str, Any] = {"rlnOpticsGroup": np.arange(1, len(first) + 1)}
    table["rlnOpticsGroupName"] = [f"{name}_{n + 1}" if n else name for name, n in zip(named, again, strict=True)]
    table |= {name: column[first] for name, column in values.items()}
    table |= {"rlnImageSize": box[first], "rlnImageDimensionality": 2}
    return pd.DataFrame(table), group.reshape(-1) + 1


def _check_shapes(fields: dict[str, np.ndarray], path: Path) -> None:
    """Raises DataError for a field that is there with another shape or kind than cryoSPARC gives it."""
    numbers = {"blob/shape": 2, "blob/idx": 1, "uid": 1, "ctf/exp_group_id": 1}
    numbers |= dict.fromkeys((*_COLUMNS.values(), *_IN_RADIANS.values(), *_OPTICS.values()), 1)
    for name, ndim in numbers.items():
        if name in fields and (fields[name].ndim != ndim or fields[name].dtype.kind not in "iuf"):
            raise DataError(f"{path}: its field {name} holds {fields[name].dtype} {fields[name].shape[1:]}. {_ADVICE}")
    if fields["blob/path"].dtype.kind not in "SU" or fields["blob/path"].ndim != 1:
        raise DataError(f"{path}: its field blob/path holds {fields['blob/path'].dtype} and no paths. {_ADVICE}")


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
