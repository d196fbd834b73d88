"""Masks that users give: read, checked, and brought to another grid.

One text names one region or several: `arm.mrc`, `0,0,40,20` (a sphere), `arm=arm.mrc; foot=0,0,40,20`, `parts.mrc` with
a number for each part, `parts.mrc#2` for one of these.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from ..errors import DataError
from ..io.mrc import read_map
from .masks import cosine_edge

EDGE_PX = 3.0
"""Of a sphere; half of it lies inside of the radius."""
SAME_EXTENT = 0.02
"""How far the extents in angstrom of a mask and of images may differ, as a share."""
UNSAID = (0.0, 1.0)
"""Pixel sizes in headers of programs that do not know theirs."""
MOST_LABELS = 20
"""Parts that a mask of numbers may have."""
LABEL_BLUR_PX = 1.0
"""A part of a mask of numbers ends at once; it is given a soft edge."""
NAMED = re.compile(r"\s*([A-Za-z][A-Za-z0-9_-]*)\s*=(.+)")


@dataclass(frozen=True)
class Region:
    """`name` names its folder and columns, `text` is what names it alone to `region_mask`; `mask` (D, D, D)."""

    name: str
    text: str
    mask: np.ndarray


def regions_of(text: str, box: int, pixel_size_ang: float) -> list[Region]:
    """The regions that a text names, each with a name of its own.

    Raises DataError for one that is none, and for two of one name.
    """
    named: list[tuple[str, str]] = []
    for part in parts_of(text):
        given, single = _name_of(part)
        labels = _labels(single)
        if labels is None:
            named.append((given or _usual_name(single, len(named) + 1), single))
        else:
            stem = given or _usual_name(single, 0)
            named += [(f"{stem}_{label}", f"{single}#{label}") for label in labels]
    names = [name for name, _ in named]
    if twice := {name for name in names if names.count(name) > 1}:
        raise DataError(
            f"{text} names two regions {min(twice)}; give each a name of its own, as arm=first.mrc;foot=second.mrc."
        )
    return [Region(name, single, region_mask(single, box, pixel_size_ang)) for name, single in named]


def parts_of(text: str) -> list[str]:
    """The regions that a text names, as it names them; where a shell stands between, ++ parts them as ; does."""
    return [part.strip() for part in re.split(r";|\+\+", text) if part.strip()]


def _name_of(part: str) -> tuple[str, str]:
    """The name that a region was given, empty without one, and the rest."""
    named = None if Path(part).is_file() else NAMED.fullmatch(part)
    return (named[1], named[2].strip()) if named else ("", part)


def _usual_name(single: str, number: int) -> str:
    if _numbers(single) is not None:
        return f"sphere_{number}"
    file, label = _label_of(single)
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(file).stem).strip("_") or "region"
    return stem if label is None else f"{stem}_{label}"


def _label_of(single: str) -> tuple[str, int | None]:
    """`parts.mrc#2` as its file and its number; no number for other texts."""
    file, _, label = single.rpartition("#")
    return (file, int(label)) if file and label.isdecimal() and not Path(single).is_file() else (single, None)


def _labels(single: str) -> list[int] | None:
    """The numbers in a mask whose parts have numbers; None for other masks, spheres, and what is not there."""
    if _numbers(single) is not None or not Path(single).is_file():
        return None
    values = np.unique(read_map(single)[0])
    if len(values) > MOST_LABELS + 1 or values[-1] < 2 or not np.array_equal(values, values.round()):
        return None
    return [int(value) for value in values if value > 0]


def mask_from_file(name: str, box: int) -> np.ndarray:
    """A user's mask (D, D, D) float32, its values held between 0 and 1.

    Raises DataError when there is no such file, or it has another box, or nothing inside.
    """
    mask, _ = _read(name, "moving, or nothing")
    if mask.shape != (box,) * 3:
        raise DataError(
            f"{name} has {' × '.join(map(str, mask.shape))} voxels, but the maps of this run {box} × {box} × {box}; "
            "make the mask on one of them."
        )
    return mask


def region_mask(name: str, box: int, pixel_size_ang: float) -> np.ndarray:
    """(D, D, D) float32 in [0, 1]. An MRC mask of the images' extent, or a sphere `x,y,z,radius` in Å from the centre;
    of several regions what lies in any of them.

    Raises DataError for anything else.
    """
    parts = [_name_of(part)[1] for part in parts_of(name)]
    if len(parts) > 1:
        return np.max([region_mask(part, box, pixel_size_ang) for part in parts], axis=0)
    name = parts[0] if parts else name
    sphere = _numbers(name)
    if sphere is None:
        return _of_extent(name, box, pixel_size_ang)
    *centre, radius = np.array(sphere) / pixel_size_ang
    z, y, x = np.indices((box, box, box)) - box // 2
    distance = np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2)
    mask = cosine_edge(distance - radius + EDGE_PX / 2, EDGE_PX)
    if radius <= 0 or not mask.any():
        raise DataError(f"The sphere {name} has no voxel inside the box of {box * pixel_size_ang:.4g} Å.")
    return mask


def resampled(mask: np.ndarray, box: int) -> np.ndarray:
    """(box, box, box) float32. A mask (D, D, D) on another grid of the same extent, centre on centre."""
    size = len(mask)
    if size == box:
        return mask
    step = size / box
    blurred = ndimage.gaussian_filter(mask, step / 2) if step > 1 else mask
    axis = (np.arange(box) - box // 2) * step + size // 2
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"))
    return np.clip(ndimage.map_coordinates(blurred, grid, order=1, mode="nearest"), 0, 1).astype(np.float32)


def _of_extent(name: str, box: int, pixel_size_ang: float) -> np.ndarray:
    """A mask from a file, which may have another number of voxels than the images if it has their extent."""
    mask, pixel = _read(name, "or a sphere as x,y,z,radius in Å from the middle of the box")
    if len(set(mask.shape)) == 1:
        same = abs(len(mask) * pixel / (box * pixel_size_ang) - 1) < SAME_EXTENT
        if same or (len(mask) == box and pixel in UNSAID):
            return resampled(mask, box)
    raise DataError(
        f"{name} has {' × '.join(map(str, mask.shape))} voxels of {pixel:.4g} Å, but the images are "
        f"{box} × {box} pixels of {pixel_size_ang:.4g} Å; make the mask on a map of these images."
    )


def _read(name: str, instead: str) -> tuple[np.ndarray, float]:
    name, label = _label_of(name)
    if not Path(name).is_file():
        raise DataError(f"There is no mask {name}; give an MRC file, {instead}.")
    mask, pixel = read_map(name)
    if label is not None:
        mask = ndimage.gaussian_filter((mask == label).astype(np.float32), LABEL_BLUR_PX)
        if not mask.any():
            raise DataError(f"{name} has no voxel of the value {label}; name a part that it has.")
    mask = np.clip(mask, 0, 1)
    if not mask.any():
        raise DataError(f"{name} is zero everywhere; a mask is 1 where voxels count.")
    return mask, pixel


def _numbers(text: str) -> list[float] | None:
    """The four numbers of a sphere, None for other text."""
    try:
        numbers = [float(word) for word in text.split(",")]
    except ValueError:
        return None
    return numbers if len(numbers) == 4 and np.isfinite(numbers).all() else None
