"""cryoSPARC particle files made from RELION-like tables: the way back of `cs.py`, whose conventions it has."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from ..geometry.rotations import matrices_from_euler
from .particles import ParticleTable
from .stacks import StackReader
from .writing import write_array


def write_cs(path: Path, fields: Mapping[str, np.ndarray]) -> None:
    """Write (N, …) values by field as the records of a .cs file, `uid` first."""
    names = sorted(fields, key=lambda name: name != "uid")
    records = np.zeros(len(fields["uid"]), [(name, fields[name].dtype, fields[name].shape[1:]) for name in names])
    for name in names:
        records[name] = fields[name]
    write_array(path, records)


def with_components(fields: Mapping[str, np.ndarray], z: np.ndarray) -> dict[str, np.ndarray]:
    """The fields with latents z (N, Z) as components, in place of those of an earlier variability analysis."""
    kept = {name: values for name, values in fields.items() if not name.startswith("components_mode_")}
    for k, values in enumerate(z.T):
        kept[f"components_mode_{k}/component"] = np.full(len(z), k, np.uint32)
        kept[f"components_mode_{k}/value"] = values.astype(np.float32)
    return kept


def fields_of(table: ParticleTable, stacks: StackReader, sign: int, rows: np.ndarray) -> dict[str, np.ndarray]:
    """(N, …) fields of the particles of a table at `rows` (N,), paths absolute.

    Parameters
    ----------
    stacks : of all rows of the table.
    sign : 1 where protein is white in the images, else -1.
    """
    names = [table.image_names[row] for row in rows]
    paths = np.array([os.fsencode(path.resolve()) for path in stacks.paths], "S")
    fields = {
        "uid": _uids(table, names, rows),
        "blob/path": paths[stacks.stack[rows]],
        "blob/idx": np.array([int(name.partition("@")[0]) - 1 if "@" in name else 0 for name in names], np.uint32),
        "blob/shape": np.repeat(stacks.box[rows, None], 2, axis=1).astype(np.uint32),
        "blob/psize_A": table.pixel_size_ang[rows].astype(np.float32),
        "blob/sign": np.full(len(rows), sign, np.float32),
    }
    fields |= _ctf_fields(table, rows)
    if table.euler_deg is not None:
        fields |= pose_fields(table, rows, alone=False)
    if table.euler_deg is not None and "rlnRandomSubset" in table.frame:
        fields["alignments3D/split"] = np.maximum(table.numbers("rlnRandomSubset")[rows] - 1, 0).astype(np.uint32)
    return fields


def pose_fields(table: ParticleTable, rows: np.ndarray, alone: bool = True) -> dict[str, np.ndarray]:
    """(N, …) fields of the poses of a table at `rows` (N,) and, where they are to stand `alone`, of the defocus, which
    is corrected with them."""
    n, pixel_ang = len(rows), table.pixel_size_ang[rows]
    assert table.euler_deg is not None
    matrices = matrices_from_euler(np.nan_to_num(table.euler_deg[rows]))
    origins_ang = np.zeros((n, 2)) if table.origins_ang is None else np.nan_to_num(table.origins_ang[rows])
    fields = {
        "alignments3D/split": np.zeros(n, np.uint32),
        "alignments3D/pose": Rotation.from_matrix(np.swapaxes(matrices, 1, 2)).as_rotvec().astype(np.float32),
        "alignments3D/shift": (origins_ang / pixel_ang[:, None]).astype(np.float32),
        "alignments3D/psize_A": pixel_ang.astype(np.float32),
        "alignments3D/alpha": np.ones(n, np.float32),
        "alignments3D/weight": np.ones(n, np.float32),
        "alignments3D/class": np.zeros(n, np.uint32),
        "alignments3D/class_posterior": np.ones(n, np.float32),
    }
    if alone and "rlnDefocusU" in table.frame:
        for name, axis in (("ctf/df1_A", "U"), ("ctf/df2_A", "V")):
            fields[name] = table.numbers(f"rlnDefocus{axis}")[rows].astype(np.float32)
    return fields


def _ctf_fields(table: ParticleTable, rows: np.ndarray) -> dict[str, np.ndarray]:
    ctf = table.ctf()
    if ctf is None:
        return {}
    numbers = {
        "accel_kv": ctf.voltage_kv,
        "cs_mm": ctf.spherical_aberration_mm,
        "amp_contrast": ctf.amplitude_contrast,
        "df1_A": ctf.defocus_u_ang,
        "df2_A": ctf.defocus_v_ang,
        "df_angle_rad": np.radians(ctf.defocus_angle_deg),
        "phase_shift_rad": np.radians(ctf.phase_shift_deg),
        "scale": ctf.scale,
        "bfactor": ctf.b_factor_ang2,
    }
    fields = {f"ctf/{name}": np.asarray(values)[rows].astype(np.float32) for name, values in numbers.items()}
    group = table.optics_group[rows].astype(np.uint32)
    return {"ctf/type": np.full(len(rows), b"imported"), "ctf/exp_group_id": group} | fields


def _uids(table: ParticleTable, names: list[str], rows: np.ndarray) -> np.ndarray:
    """(N,) uint64, all different: cryoSPARC's own where the table has kept them, else made of the images' names."""
    if "cryosparcUid" in table.frame:
        return table.frame["cryosparcUid"].to_numpy()[rows].astype(np.uint64)
    seen: dict[str, int] = {}
    uids = np.empty(len(names), np.uint64)
    for k, name in enumerate(names):
        seen[name] = again = seen.get(name, -1) + 1
        digest = hashlib.blake2b(f"{name} {again}".encode(), digest_size=8).digest()
        uids[k] = int.from_bytes(digest, "little")
    return uids
