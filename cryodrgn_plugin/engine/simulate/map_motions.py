"""Motions of maps: the density inside a mask turned about a hinge, and maps brought to the box of the images.

Coordinates are angstrom from the first voxel, (x, y, z), as in a viewer that puts the map's origin at 0.
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from ..errors import ConfigError, DataError
from ..slicing.fine import cropped_volume
from .motions import likely_hinge


def cropped_map(volume: np.ndarray, box: int, name: str) -> np.ndarray:
    """(box, box, box) float32: the map with its transform cut to the smaller box, its grey values kept. `name` is for
    errors.
    """
    edge = volume.shape[0]
    if volume.shape != (edge,) * 3:
        raise DataError(f"{name} has {volume.shape} voxels; a map must be a cube.")
    if edge < box:
        raise DataError(
            f"{name} has a box of {edge}, smaller than the box of the images, {box}; choose a box up to {edge}."
        )
    return cropped_volume(volume, box)


def hinge_in_mask(
    volume: np.ndarray,
    mask: np.ndarray,
    angles_rad: Sequence[float],
    pixel_size_ang: float,
    point_ang: Sequence[float] | None = None,
    axis: Sequence[float] | None = None,
) -> list[np.ndarray]:
    """One map per angle, with the density under `mask` turned about the line through `point_ang` along `axis`.

    The part is cut out with the mask's edge softened by a Gaussian of one voxel, turned in Fourier space, and
    added to what is left. Without a point or an axis the hinge is the contact of the part with the rest
    (`motions.likely_hinge`).

    Raises ConfigError when the mask holds no density or all of it.
    """
    from ..slicing.fine import moved_volume, padded_transform

    box = len(volume)
    part = np.clip(ndimage.gaussian_filter((mask > 0.5 * mask.max()).astype(np.float32), 1.0), 0, 1)
    dense = volume > volume.mean() + 2 * volume.std()
    inside, outside = (np.argwhere(dense & where)[:, ::-1] * pixel_size_ang for where in (part > 0.5, part <= 0.5))
    if not mask.max() > 0 or len(inside) == 0 or len(outside) == 0:
        raise ConfigError(
            "The domain mask holds none or all of the map's density; it must mark the part that should move."
        )
    found_point, found_axis = likely_hinge(inside, outside)
    point = found_point if point_ang is None else np.asarray(point_ang, dtype=float)
    direction = found_axis if axis is None else np.asarray(axis, dtype=float)
    still, moving = volume * (1 - part), padded_transform(volume * part)
    pivot_px = point / pixel_size_ang - box // 2
    states = []
    for turn in Rotation.from_rotvec(np.outer(angles_rad, direction / np.linalg.norm(direction))):
        rotation = turn.as_matrix()
        states.append(still + moved_volume(moving, rotation, pivot_px - rotation @ pivot_px, box))
    return [state.astype(np.float32) for state in states]
