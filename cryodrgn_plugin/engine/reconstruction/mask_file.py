"""Masks that users give: read, checked, and brought to another grid."""

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
    """(D, D, D) float32 in [0, 1]. An MRC mask of the images' extent, or a sphere `x,y,z,radius` in Å from the centre.

    Raises DataError for anything else.
    """
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
    if not Path(name).is_file():
        raise DataError(f"There is no mask {name}; give an MRC file, {instead}.")
    mask, pixel = read_map(name)
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
