"""Which voxels a landscape looks at: the union of half maxima (Zhong's thesis), the moving region or a mask."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from ..analysis.volumes import TrainedDecoder, moving_region
from ..errors import DataError
from ..io.mrc import read_map

MOVING = "moving"


def region_of_interest(choice: str, decoder: TrainedDecoder, z: np.ndarray, report: Callable[..., None]) -> np.ndarray:
    """The mask (D, D, D) float32 in [0, 1] that `choice` names: "" (union), "moving", or an MRC file.

    z (n, Z) are the points whose volumes stand for all.

    Raises DataError when volumes do not differ (moving), or the file has another box or nothing inside.
    """
    if choice not in ("", MOVING):
        return mask_from_file(choice, decoder.box)
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


def mask_from_file(name: str, box: int) -> np.ndarray:
    """A user's mask, its values held between 0 and 1."""
    if not Path(name).is_file():
        raise DataError(f"There is no mask {name}; give an MRC file, moving, or nothing.")
    mask = np.clip(read_map(name)[0], 0, 1)
    if mask.shape != (box,) * 3:
        raise DataError(
            f"{name} has {' × '.join(map(str, mask.shape))} voxels, but the maps of this run {box} × {box} × {box}; "
            "make the mask on one of them."
        )
    if not mask.any():
        raise DataError(f"{name} is zero everywhere; a mask is 1 where voxels count.")
    return mask


def _counted(volumes: Iterable[np.ndarray], total: int, report: Callable[..., None]) -> Iterable[np.ndarray]:
    for done, volume in enumerate(volumes, start=1):
        yield volume
        report("mask", done, total)
