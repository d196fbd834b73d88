"""A region of a molecule from lines that were drawn around it on its projections.

A line drawn on the projection along an axis holds whatever lies before and behind it; lines on several projections
leave what lies inside of all. Places are in voxels from the corner of the box, as `vol[z, y, x]` counts them.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import ndimage

from ..errors import DataError
from ..reconstruction.masks import cosine_edge
from .lasso import Lasso

VIEWS = {"z": ("x", "y"), "y": ("x", "z"), "x": ("y", "z")}
"""Axes that a molecule is looked at along, and what then runs to the right and upwards."""
EDGE_PX = 3.0
"""Of a mask; half of it lies inside of the lines."""


def projection(volume: np.ndarray, along: str) -> np.ndarray:
    """(D, D) what lies behind each other, the second axis of the view by rows."""
    return volume.sum(axis="zyx".index(along))


def extruded(box: int, outlines: Mapping[str, np.ndarray]) -> np.ndarray:
    """(box, box, box) bool: the voxels inside of all lines; everything without any.

    Parameters
    ----------
    outlines : (V, 2) corners by the axis that the line was drawn along, in the order of `VIEWS`.
    """
    inside = np.ones((box, box, box), bool)
    rows, columns = np.indices((box, box)).reshape(2, -1)
    for along, corners in outlines.items():
        within = Lasso(VIEWS[along], np.asarray(corners, float)).inside(np.column_stack([columns, rows]))
        inside &= np.expand_dims(within.reshape(box, box), "zyx".index(along))
    return inside


def soft(inside: np.ndarray) -> np.ndarray:
    """(D, D, D) float32: 1 inside, falling to 0 across the outline."""
    away = ndimage.distance_transform_edt(~inside) - ndimage.distance_transform_edt(inside)
    return cosine_edge(away + EDGE_PX / 2, EDGE_PX)


def mask_of_regions(regions: Sequence[np.ndarray]) -> np.ndarray:
    """(D, D, D) float32: a soft mask of one region (D, D, D) bool, the numbers 1, 2, … of several. Where these overlap
    the one that was drawn later counts.

    Raises DataError for a region with nothing inside.
    """
    for number, region in enumerate(regions, start=1):
        if not region.any():
            raise DataError(f"Region {number} is empty: no voxel lies inside of all its lines; draw it anew.")
    if len(regions) == 1:
        return soft(regions[0])
    numbers = np.zeros(regions[0].shape, np.float32)
    for number, region in enumerate(regions, start=1):
        numbers[region] = number
    return numbers
