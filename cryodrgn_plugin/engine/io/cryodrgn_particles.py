"""A particle table of what cryoDRGN is given: a stack, a list of stacks or a particle file, with poses.pkl, ctf.pkl and
ind.pkl.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataError
from ..geometry.rotations import euler_from_matrices
from .cryodrgn import read_ctf, read_indices, read_poses
from .header import read_header
from .particles import EULER, ParticleTable
from .reading import WHY, understood
from .stacks import locate_stacks
from .tables import CRYOSPARC, read_table, search_folders

_OPTICS = ("rlnImagePixelSize", "rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast")
_CTF = ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle", "rlnPhaseShift")
_OLD_POSES = (*EULER, "rlnOriginX", "rlnOriginY", "rlnOriginXAngst", "rlnOriginYAngst")
_OLD_CTF = (*_CTF, *_OPTICS, "rlnDetectorPixelSize", "rlnMagnification", "rlnPixelSize", "rlnAngPix", "rlnOpticsGroup")


@dataclass(frozen=True)
class _Images:
    """N images: where they lie, and what a particle file says of them beside that."""

    names: list[str]
    box: int
    pixel_size_ang: float
    """As the stack's header says; 0 where it does not."""
    table: ParticleTable | None


def particles_from_cryodrgn(
    images: str | os.PathLike,
    ctf: str | os.PathLike | None = None,
    poses: str | os.PathLike | None = None,
    indices: str | os.PathLike | None = None,
    *,
    root: str | os.PathLike = "",
    pixel_size_ang: float = 0.0,
    pose_unit_px: float | None = None,
) -> ParticleTable:
    """The particle table of images with cryoDRGN's files.

    Parameters
    ----------
    images : stack (.mrcs), list of stacks (.txt), or particle file (.star, .cs), whose columns are kept.
    ctf, poses : ctf.pkl and poses.pkl, of all images or of those that the indices name. They replace what the particle
        file says.
    indices : ind.pkl; the table then has these images only, in its order.
    root : folder that the paths of stacks start from; empty looks around the file.
    pixel_size_ang : of images without ctf.pkl whose header does not say it; 0 for none.
    pose_unit_px : see `read_poses`.

    Raises
    ------
    DataError : the files hold different numbers of particles, or are not what they should be; no pixel size is known.
    """
    found = _images(Path(images), root)
    n = len(found.names)
    index = np.arange(n) if indices is None else read_indices(indices, n)
    frame = pd.DataFrame({"rlnImageName": found.names}) if found.table is None else found.table.frame.copy()
    frame["rlnImageName"] = found.names
    frame = frame.iloc[index].reset_index(drop=True)
    optics = None if found.table is None else found.table.optics
    if ctf is None and found.table is None:
        optics = _plain_optics(found, pixel_size_ang, Path(images))
        frame["rlnOpticsGroup"] = 1
    pixel_ang = optics["rlnImagePixelSize"].to_numpy()[:1] if ctf is None and found.table is None else None
    if ctf is not None:
        values = _rows(read_ctf(ctf), ctf, images, n, index)
        optics, columns = _with_ctf(values, found.box)
        frame = frame.drop(columns=[name for name in _OLD_CTF if name in frame]).assign(**columns)
        # The pixel size in ctf.pkl belongs to the box in ctf.pkl: after downsampling the stack's pixels are larger.
        pixel_ang = values[:, 1] * values[:, 0] / found.box
    if poses is not None:
        if pixel_ang is None:
            assert found.table is not None
            pixel_ang = found.table.pixel_size_ang[index]
        rotations, origins_px = (
            _rows(part, poses, images, n, index) for part in read_poses(poses, found.box, pose_unit_px)
        )
        frame = frame.drop(columns=[name for name in _OLD_POSES if name in frame])
        frame = frame.assign(**dict(zip(EULER, euler_from_matrices(rotations).T, strict=True)))
        frame = frame.assign(**{f"rlnOrigin{axis}Angst": origins_px[:, k] * pixel_ang for k, axis in enumerate("XY")})
    tables = {"particles": frame} if optics is None else {"optics": optics, "particles": frame}
    return ParticleTable(Path(images), frame, optics, tables)


def _images(path: Path, root: str | os.PathLike) -> _Images:
    if path.suffix in (".star", *CRYOSPARC):
        table = read_table(path, root)
        return _located(table.image_names, search_folders(path, root), path, table)
    if path.suffix == ".txt":
        with understood(f"{path}: cannot be read ({WHY}). Give a list of stacks, one a line."):
            stacks = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        if not stacks:
            raise DataError(f"{path}: it names no stacks. Give a list of stacks, one a line.")
        folders = search_folders(path, root)
        lengths = [read_header(place).shape[0] for place in locate_stacks(stacks, folders, str(path))]
        names = [f"{k}@{name}" for name, n in zip(stacks, lengths, strict=True) for k in range(1, n + 1)]
        return _located(names, folders, path, None)
    n = read_header(path).shape[0]
    return _located([f"{k}@{path.absolute()}" for k in range(1, n + 1)], [path.parent], path, None)


def _located(names: list[str], folders: list[Path], path: Path, table: ParticleTable | None) -> _Images:
    """Images by names whose stacks are absolute paths."""
    parts = [str(name).rpartition("@") for name in names]
    stacks = list(dict.fromkeys(stack for _, _, stack in parts))
    places = locate_stacks(stacks, folders, str(path))
    headers = [read_header(place) for place in places]
    boxes = {header.shape[2] for header in headers}
    if len(boxes) > 1:
        raise DataError(f"{path}: its stacks have boxes of {min(boxes)} and {max(boxes)} pixels; cryoDRGN has one box.")
    there = dict(zip(stacks, (place.absolute() for place in places), strict=True))
    absolute = [f"{number or 1}@{there[stack]}" for number, _, stack in parts]
    return _Images(absolute, boxes.pop(), headers[0].pixel_size_ang, table)


def _rows(values: np.ndarray, path: Any, images: Any, n: int, index: np.ndarray) -> np.ndarray:
    """The rows of `values` that belong to the images at `index` among N: all of them, or those alone."""
    if len(values) == n:
        return values[index]
    if len(values) == len(index):
        return values
    chosen = f", {len(index):,} of them chosen" if len(index) < n else ""
    raise DataError(
        f"{path}: it has {len(values):,} particles, but {images} has {n:,}{chosen}. They do not belong together."
    )


def _with_ctf(values: np.ndarray, box: int) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Optics table and particle columns of (N, 9) `values` as `read_ctf` gives them."""
    keys = np.column_stack([values[:, 1] * values[:, 0] / box, values[:, 5:8]])
    groups, group = np.unique(keys, axis=0, return_inverse=True)
    groups = groups.astype(np.float32).astype(str).astype(np.float64)  # 2.7 and not 2.7000000477, as single numbers are
    columns = dict(zip(_CTF, values[:, [2, 3, 4, 8]].T, strict=True)) | {"rlnOpticsGroup": group.reshape(-1) + 1}
    return _optics(pd.DataFrame(groups, columns=list(_OPTICS)), box), columns


def _plain_optics(found: _Images, pixel_size_ang: float, path: Path) -> pd.DataFrame:
    """Of images without a CTF."""
    pixel_ang = pixel_size_ang or found.pixel_size_ang
    if not pixel_ang > 0:
        raise DataError(f"{path}: its header has no pixel size. Give ctf.pkl, or the pixel size.")
    return _optics(pd.DataFrame({"rlnImagePixelSize": [pixel_ang]}), found.box)


def _optics(table: pd.DataFrame, box: int) -> pd.DataFrame:
    table.insert(0, "rlnOpticsGroup", np.arange(1, len(table) + 1))
    table.insert(1, "rlnOpticsGroupName", [f"opticsGroup{i}" for i in table["rlnOpticsGroup"]])
    return table.assign(rlnImageSize=box, rlnImageDimensionality=2)
