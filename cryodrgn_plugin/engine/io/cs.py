"""cryoSPARC particle files (.cs, as a numpy structured array or compressed) as a RELION-like particle table.

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
from .csdat import MAGIC, read_compressed
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
_LOCATION = {
    "location/micrograph_path": 1,
    "location/center_x_frac": 1,
    "location/center_y_frac": 1,
    "location/micrograph_shape": 2,
}
_ABERRATIONS = ("ctf/tilt_A", "ctf/trefoil_A", "ctf/tetra_A", "ctf/anisomag", "ctf/shift_A")
"""What cryoSPARC fits beyond defocus and Cs, as lengths (beam tilt times Cs). That much it documents; signs and axes it
does not, and public converters contradict each other: pyem takes ctf/anisomag for the matrix itself, others for what it
has beyond the identity, and of tilts and Zernike terms that pyem converted its authors report other values than RELION
fits to the same images, by orders of magnitude (asarnow/pyem, pull request 94). Applied by a wrong sign they are worse
than left out."""
_ADVICE = "Give a particles file of a cryoSPARC job."
_NOT_READ = "{path}: cannot be read as a cryoSPARC particles file ({why}). " + _ADVICE


def read_cs(path: str | os.PathLike, passthrough: Sequence[str | os.PathLike] = ()) -> ParticleTable:
    """Particles of a .cs file, with the columns RELION 3.1 would give them.

    Parameters
    ----------
    path : particles of a cryoSPARC job.
    passthrough : files whose fields are added by particle (`uid`), as cryoSPARC splits them (`merged_fields`).

    Returns
    -------
    One row per particle in the file's order; `cryosparcUid` leads back to it. Optics groups are exposure groups, cut
    up where particles of one have different optics.

    Raises
    ------
    DataError : not a .cs file, no particles, or no image locations.
    """
    path = Path(path)
    with understood(_NOT_READ.replace("{path}", str(path))):
        return _table(path, passthrough)


def _table(path: Path, passthrough: Sequence[str | os.PathLike]) -> ParticleTable:
    fields = merged_fields(path, passthrough)
    for name in ("blob/path", "blob/idx", "blob/psize_A", "blob/shape"):
        if name not in fields:
            raise DataError(
                f"{path}: it has no field {name}. Put the job's passthrough file beside it, or name that with "
                "--passthrough."
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
    table |= _poses(fields) | _half_sets(fields) | _places(fields)
    optics, group = _optics(fields)
    frame = pd.DataFrame(table | {"rlnOpticsGroup": group})
    tables = {"optics": optics, "particles": frame}
    return ParticleTable(path, frame, optics, tables, unapplied=_unapplied(path, fields))


def read_records(path: str | os.PathLike) -> np.ndarray:
    """(N,) records of a .cs file as they are. Raises DataError as `read_cs` does."""
    path = Path(path)
    with understood(_NOT_READ.replace("{path}", str(path))), open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        compressed = file.read(len(MAGIC)) == MAGIC
        file.seek(0)
        records = read_compressed(file, size) if compressed else read_npy(file, size)
        if records.dtype.names is None or records.ndim != 1:
            raise DataError(f"{path}: this is a plain array and not a cryoSPARC particles file.")
    return records


def merged_fields(path: str | os.PathLike, passthrough: Sequence[str | os.PathLike] = ()) -> dict[str, np.ndarray]:
    """(N, …) values of each field of a .cs file and, for its particles, of the `passthrough` files.

    Where several files have a field the first counts. Raises DataError where one lacks particles of the first.
    """
    fields = _fields(Path(path))
    for other in passthrough:
        others = _fields(Path(other))
        rows = _rows_of(fields, others, Path(path), Path(other))
        if (rows < 0).any():
            raise DataError(
                f"{other}: {int((rows < 0).sum()):,} of the {len(rows):,} particles of {path} are not in it. "
                "Give the passthrough file of the same job."
            )
        for name, values in others.items():
            fields.setdefault(name, values[rows])
    return fields


def passthrough_beside(path: Path, folder: Path) -> list[Path]:
    """The passthrough files in `folder` that have all particles of the .cs file `path`, by their names.

    Raises DataError where one of the files cannot be read.
    """
    others = sorted(other for other in folder.glob("*passthrough*.cs") if other != path)
    if not others:
        return []
    fields = _fields(path)
    if "uid" not in fields:
        return []
    return [other for other in others if (_rows_of(fields, _fields(other), path, other) >= 0).all()]


def _fields(path: Path) -> dict[str, np.ndarray]:
    records = read_records(path)
    return {name: records[name] for name in records.dtype.names or ()}


def _rows_of(fields: dict[str, np.ndarray], others: dict[str, np.ndarray], path: Path, other: Path) -> np.ndarray:
    """(N,) row of `others` that has the uid of each row of `fields`, -1 where none has."""
    if "uid" not in fields or "uid" not in others:
        raise DataError(f"{other}: it cannot be joined to {path}, because one of them has no field uid.")
    with understood(f"{other}: its field uid does not tell particles apart. Give the job's passthrough file."):
        return pd.Index(others["uid"]).get_indexer(pd.Index(fields["uid"]))


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
    known = np.isfinite(poses).all(1)
    angles = np.full((len(poses), 3), np.nan)
    matrices = np.swapaxes(Rotation.from_rotvec(poses[known].astype(np.float64)).as_matrix(), 1, 2)
    angles[known] = euler_from_matrices(matrices)
    origins = shifts * pixel[:, None]
    return dict(zip(EULER, angles.T, strict=True)) | {
        "rlnOriginXAngst": origins[:, 0],
        "rlnOriginYAngst": origins[:, 1],
    }


def _half_sets(fields: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Half-sets as 1 and 2, or nothing where they were not drawn."""
    split = fields.get("alignments3D/split")
    return {} if split is None or len(np.unique(split)) < 2 else {"rlnRandomSubset": split.astype(np.int64) + 1}


def _places(fields: dict[str, np.ndarray]) -> dict[str, Any]:
    """Micrographs and coordinates in their pixels, or nothing."""
    if not set(_LOCATION) <= set(fields):
        return {}
    height, width = fields["location/micrograph_shape"].T.astype(np.float64)
    return {
        "rlnMicrographName": [_text(name).lstrip(">") for name in fields["location/micrograph_path"]],
        "rlnCoordinateX": fields["location/center_x_frac"] * width,
        "rlnCoordinateY": fields["location/center_y_frac"] * height,
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


def _unapplied(path: Path, fields: dict[str, np.ndarray]) -> tuple[str, ...]:
    """A sentence about the aberrations that are listed and not 0."""
    numbers = {name: fields[name] for name in _ABERRATIONS if name in fields and fields[name].dtype.kind in "iuf"}
    listed = [name for name, values in numbers.items() if np.any(values)]
    if not listed:
        return ()
    touched = np.any([np.reshape(numbers[name], (len(numbers[name]), -1)).any(1) for name in listed], axis=0)
    sentence = (
        f"{path}: {', '.join(listed)} of {int(touched.sum()):,} particles {'are' if listed[1:] else 'is'} not applied, "
        "because cryoSPARC does not document the signs. Where resolutions beyond 4 Å matter, refine the aberrations in "
        "RELION and give its star file."
    )
    return (sentence,)


def _check_shapes(fields: dict[str, np.ndarray], path: Path) -> None:
    """Raises DataError for a field that is there with another shape or kind than cryoSPARC gives it."""
    numbers = {"blob/shape": 2, "blob/idx": 1, "uid": 1, "ctf/exp_group_id": 1, "alignments3D/split": 1, **_LOCATION}
    numbers |= dict.fromkeys((*_COLUMNS.values(), *_IN_RADIANS.values(), *_OPTICS.values()), 1)
    for name, ndim in numbers.items():
        kinds = "SU" if name.endswith("_path") else "iuf"
        if name in fields and (fields[name].ndim != ndim or fields[name].dtype.kind not in kinds):
            raise DataError(f"{path}: its field {name} holds {fields[name].dtype} {fields[name].shape[1:]}. {_ADVICE}")
    if fields["blob/path"].dtype.kind not in "SU" or fields["blob/path"].ndim != 1:
        raise DataError(f"{path}: its field blob/path holds {fields['blob/path'].dtype} and no paths. {_ADVICE}")


def _text(name: bytes | str) -> str:
    """A path; bytes that are not UTF-8 are letters of Latin-1."""
    if isinstance(name, str):
        return name
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.decode("latin-1")
