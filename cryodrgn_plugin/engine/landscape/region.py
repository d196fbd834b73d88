"""Which voxels a landscape looks at: the union of half maxima (Zhong's thesis), the moving region or a mask."""

from collections.abc import Callable, Iterable

import numpy as np

from ..analysis.volumes import TrainedDecoder, moving_region
from ..errors import DataError
from ..reconstruction.mask_file import region_mask

MOVING = "moving"


def region_of_interest(choice: str, decoder: TrainedDecoder, z: np.ndarray, report: Callable[..., None]) -> np.ndarray:
    """The mask (D, D, D) float32 in [0, 1] that `choice` names: "" (union), "moving", an MRC file, or
    a sphere x,y,z,radius in Å from the middle of the box.

    z (n, Z) are the points whose volumes stand for all.

    Raises DataError when volumes do not differ (moving), or the file has another box or nothing inside.
    """
    if choice not in ("", MOVING):
        return region_mask(choice, decoder.box, decoder.pixel_size_ang)
    if choice == MOVING:
        mask = moving_region(decoder, z)
        if mask is None:
            raise DataError("The volumes of this run do not differ, so there is no moving region; use no mask.")
        return mask
    return union_of_half_maxima(_counted((decoder.volume(point) for point in z), len(z), report))


def union_of_half_maxima(volumes: Iterable[np.ndarray]) -> np.ndarray:
    """1 where any of the volumes is above half of its own maximum, else 0 (Zhong's thesis, 6.2.4); float32."""
    inside = None
    for volume in volumes:
        above = volume > volume.max() / 2
        inside = above if inside is None else inside | above
    assert inside is not None, "there must be volumes"
    return inside.astype(np.float32)


def _counted(volumes: Iterable[np.ndarray], total: int, report: Callable[..., None]) -> Iterable[np.ndarray]:
    for done, volume in enumerate(volumes, start=1):
        yield volume
        report("mask", done, total)
