"""A picture of a map's surface without a 3-D viewer: the first voxel above a level along each line of sight, shaded."""

import numpy as np

LIGHT = np.array([-0.4, -0.5, 1.0]) / np.linalg.norm([-0.4, -0.5, 1.0])
"""Direction of the light: (x, y) of the picture, then towards the eye."""
FINE = 140


def shaded(volume: np.ndarray, level: float) -> np.ndarray:
    """(D, D) in [0, 1] picture [y, x] of the surface of volume (D, D, D) at `level`, seen along z from its end; nan
    where there is none. Nearer is lighter, and so is what faces the light.
    """
    above = volume[::-1] > level
    hit = above.any(axis=0)
    first = np.argmax(above, axis=0)
    y, x = np.nonzero(hit)
    k = first[y, x]
    front = volume[::-1]
    inside, outside = front[k, y, x], front[np.maximum(k - 1, 0), y, x]
    # The surface lies between the last voxel outside and the first inside, where the density passes the level.
    depth = k - np.where(k > 0, (inside - level) / np.maximum(inside - outside, 1e-12), 0)
    slopes = np.gradient(volume)
    normal = -np.stack([slopes[2], slopes[1], slopes[0]])[:, volume.shape[0] - 1 - k, y, x]
    normal /= np.maximum(np.linalg.norm(normal, axis=0), 1e-12)
    brightness = 0.35 + 0.5 * np.clip(LIGHT @ normal, 0, 1) + 0.15 * (1 - depth / volume.shape[0])
    picture = np.full(hit.shape, np.nan)
    picture[y, x] = np.clip(brightness, 0, 1)
    return picture


def close_up(volumes: list[np.ndarray], level: float) -> list[np.ndarray]:
    """The same cube of all volumes (D, D, D), as small as holds their surfaces, on at least `FINE` points a side."""
    from scipy.ndimage import zoom

    above = np.any([volume > level for volume in volumes], axis=0)
    if not above.any():
        return volumes
    voxels = np.argwhere(above)
    low, high = voxels.min(axis=0) - 2, voxels.max(axis=0) + 3
    side = min(int((high - low).max()), volumes[0].shape[0])
    start = np.clip((low + high - side) // 2, 0, volumes[0].shape[0] - side)
    inside = tuple(slice(at, at + side) for at in start)
    return [zoom(volume[inside], max(FINE / side, 1.0), order=1) for volume in volumes]


def two_views(volume: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """The surface from the front (along z) and from the side (along x)."""
    return shaded(volume, level), shaded(np.ascontiguousarray(volume.transpose(2, 1, 0)), level)
