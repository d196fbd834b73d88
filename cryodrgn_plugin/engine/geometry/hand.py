"""The other hand: projections are the same for a map and its mirror image.

The mirror is M = diag(1, 1, −1), V'(r) = V(M r): a map with its z axis turned round. Seen under A' = M A M the mirrored
map gives the image that the map gives under A, so shifts stay as they are (docs/conventions.md, Hand).
"""

import numpy as np

MIRROR = np.diag([1.0, 1.0, -1.0])


def mirrored_rotations(rotations: np.ndarray) -> np.ndarray:
    """(..., 3, 3). The poses, volume to view, at which the mirrored map gives the same images; its own inverse."""
    signs = np.array([1, 1, -1], dtype=rotations.dtype)
    return rotations * (signs[:, None] * signs)


def mirrored_map(volume: np.ndarray) -> np.ndarray:
    """(D, D, D) `vol[z, y, x]` with z → −z about voxel D//2. The first section, which has no partner, stays."""
    # Turned round, voxel z comes to D − 1 − z; one further it is at D − z, as far from D//2 on the other side.
    return np.roll(volume[::-1], 1, axis=0)
