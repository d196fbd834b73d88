"""Maps of one molecule in several conformations, each in a frame of its own, brought into one in which it stands still.

Maps are joined one by one, each to that of those before which it resembles most: conformations far apart need not look
alike. Then every map is turned, again and again, onto what stands still: the mean of the others, weighted where all
maps agree. All known frequencies count from the first turn: fine detail matches only where the same part lies in the
same place, and a rough match would rather turn the whole molecule a little after the part that moves. Half-way, every
map's place is looked for anew, for one that was joined to a single other map may have been joined the wrong way round.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from ..geometry.hand import mirrored_map, mirrored_rotations
from ..slicing.fine import padded_transform
from .fsc import fsc
from .map_alignment import MapAlignment, align_maps
from .map_overlap import Overlap, improved, moved_onto

TURNS = 8
"""How often all maps are turned, before and after their places are looked for anew."""
BLUR_PX, POWER = 3.0, 4
"""Width over which maps are compared where they stand still, and how sharply what moves is told from it."""
Report = Callable[[int, int], object]


def silent(done: int, total: int) -> None:
    """Report to nobody."""


@dataclass(frozen=True)
class CommonFrame:
    """How S maps lie to their common frame: its point r lies at G (r − o) in a map, after the mirror of `geometry.hand`
    where that is of the other hand.
    """

    rotations: np.ndarray
    """(S, 3, 3) G."""
    origins_px: np.ndarray
    """(S, 3) o, in voxels."""
    mirrored: np.ndarray
    """(S,) bool."""
    box: int
    """Edge of the maps, in voxels."""

    def of_map(self, which: int, volume: np.ndarray) -> np.ndarray:
        """(D, D, D) the map `which`, of any D over the same extent, turned and moved into the common frame."""
        own = padded_transform(mirrored_map(volume) if self.mirrored[which] else volume)
        origin_px = self.origins_px[which] * len(volume) / self.box
        return moved_onto(own, self.rotations[which], origin_px, len(volume))

    def of_poses(
        self, which: np.ndarray, rotations: np.ndarray, shifts_ang: np.ndarray, extent_ang: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Poses (N, 3, 3), (N, 2) against the maps `which` (N,), as poses against maps in the common frame.

        `extent_ang` is the edge of the maps in Å.
        """
        hand = np.where(self.mirrored[which, None, None], mirrored_rotations(rotations), rotations)
        turned = hand @ self.rotations[which]
        moved_ang = np.einsum("nij,nj->ni", turned[:, :2], self.origins_px[which] * extent_ang / self.box)
        return turned, shifts_ang - moved_ang


def common_frame(volumes: list[np.ndarray], first: int, shells: int, report: Report = silent) -> CommonFrame:
    """The frame that S maps (D, D, D) of one molecule share, in the hand of the map `first`.

    Parameters
    ----------
    shells : frequency limit up to which the maps are known.
    report : called as report(done, total) after every step.
    """
    n = len(volumes)
    # A number is a map to be placed anew, None is all maps turned onto what stands still.
    everyone = [None] * TURNS
    # Two maps have been compared with each other already, and one with nothing.
    turned = everyone + [*range(n)] + everyone if n > 2 else everyone if n > 1 else []
    total = n - 1 + len(turned)
    frame, placed = _joined(volumes, first, shells, lambda done: report(done, total))
    for done, which in enumerate(turned, start=n):
        if which is None:
            _turn_onto_what_stands_still(frame, volumes, placed, shells)
        else:
            _place_anew(frame, volumes, placed, which, shells)
        report(done, total)
    return frame


def _joined(
    volumes: list[np.ndarray], first: int, shells: int, report: Callable[[int], None]
) -> tuple[CommonFrame, list[np.ndarray]]:
    """A first frame, and the maps in it. Every map that is placed is compared with all that are not."""
    n = len(volumes)
    frame = CommonFrame(np.tile(np.eye(3), (n, 1, 1)), np.zeros((n, 3)), np.zeros(n, bool), len(volumes[0]))
    placed, nearest = list(volumes), dict.fromkeys(set(range(n)) - {first})
    newest = first
    while nearest:
        for which, best in nearest.items():
            alignment = align_maps(volumes[which], placed[newest])
            if best is None or agreement(alignment.curve, shells) > agreement(best.curve, shells):
                nearest[which] = alignment
        newest = max(nearest, key=lambda which: agreement(nearest[which].curve, shells))
        _adopt(frame, placed, newest, nearest.pop(newest))
        report(n - 1 - len(nearest))
    return frame, placed


def agreement(curve: np.ndarray, shells: int) -> float:
    """Mean of an FSC over the coefficients of shells 1 … `shells`."""
    count = np.arange(1, shells + 1) ** 2
    return float(curve[1 : shells + 1] @ count / count.sum())


def stillness(placed: list[np.ndarray], scale: float = 1.0) -> np.ndarray:
    """(D, D, D) from 0 to 1: a weight that leaves of S maps what stands still.

    A power of what they have in common, as a share of what they hold near each voxel. The maps are `scale` times as
    finely sampled as those for which the width of "near" was found.
    """
    n = len(placed)
    alone = gaussian_filter(sum(volume**2 for volume in placed), scale * BLUR_PX)
    common = gaussian_filter(sum(placed) ** 2, scale * BLUR_PX)
    share = common / np.maximum(n * alone, 1e-6 * n * alone.max())
    return np.clip((share - 1 / n) / (1 - 1 / n), 0, 1) ** POWER if n > 1 else np.ones_like(alone)


def _turn_onto_what_stands_still(
    frame: CommonFrame, volumes: list[np.ndarray], placed: list[np.ndarray], shells: int
) -> None:
    """Turn every map onto the others where all agree, one after the other; changes `frame` and `placed`."""
    weight = stillness(placed)
    for which, volume in enumerate(volumes):
        still = padded_transform(weight * (sum(placed) - placed[which]))
        transform = padded_transform(mirrored_map(volume) if frame.mirrored[which] else volume)
        overlap = Overlap(transform, still, shells)
        rotation, origin_px = frame.rotations[which], frame.origins_px[which]
        frame.rotations[which], frame.origins_px[which], _ = improved(overlap, rotation, origin_px, tolerance=1e-2)
        placed[which] = moved_onto(transform, frame.rotations[which], frame.origins_px[which], len(volume))


def _place_anew(
    frame: CommonFrame, volumes: list[np.ndarray], placed: list[np.ndarray], which: int, shells: int
) -> None:
    """Look for a map's place and hand among all, against the others; changes `frame` and `placed`."""
    others = sum(placed) - placed[which]
    alignment = align_maps(volumes[which], others)
    if agreement(alignment.curve, shells) > agreement(fsc(placed[which], others), shells):
        _adopt(frame, placed, which, alignment)


def _adopt(frame: CommonFrame, placed: list[np.ndarray], which: int, alignment: MapAlignment) -> None:
    frame.rotations[which], frame.origins_px[which] = alignment.rotation, alignment.origin_px
    frame.mirrored[which], placed[which] = alignment.mirrored, alignment.volume
