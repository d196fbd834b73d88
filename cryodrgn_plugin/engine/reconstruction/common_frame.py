"""Maps of one molecule in several conformations, each in a frame of its own, brought into one in which it stands still.

Maps are joined one by one, each to that of those before which it resembles most: conformations far apart need not look
alike. Then every map is turned, again and again, onto the mean of the others at rising frequency limits. What moves is
smeared out in that mean and cannot pull, and fine detail matches only where the same part lies in the same place; a
rough match would rather turn the whole molecule a little after the part that moves.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..geometry.hand import mirrored_map, mirrored_rotations
from ..slicing.fine import padded_transform
from .map_alignment import MapAlignment, align_maps
from .map_overlap import Overlap, improved, moved_onto

FIRST_SHELLS, TURNS = 10, 4
"""Frequency limit of the first turn of all maps, and how often they are turned."""
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
    turns = TURNS if len(volumes) > 1 else 0
    total = len(volumes) - 1 + turns
    frame, placed = _joined(volumes, first, shells, lambda done: report(done, total))
    for turn, limit in enumerate(np.linspace(min(FIRST_SHELLS, shells), shells, turns), start=1):
        _turn_onto_the_others(frame, volumes, placed, int(round(limit)))
        report(total - turns + turn, total)
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
        for each, best in nearest.items():
            found = align_maps(volumes[each], placed[newest])
            if best is None or agreement(found, shells) > agreement(best, shells):
                nearest[each] = found
        newest = max(nearest, key=lambda each: agreement(nearest[each], shells))
        found = nearest.pop(newest)
        frame.rotations[newest], frame.origins_px[newest] = found.rotation, found.origin_px
        frame.mirrored[newest], placed[newest] = found.mirrored, found.volume
        report(n - 1 - len(nearest))
    return frame, placed


def agreement(alignment: MapAlignment, shells: int) -> float:
    """Mean of the FSC over the coefficients of shells 1 … `shells`."""
    count = np.arange(1, shells + 1) ** 2
    return float(alignment.curve[1 : shells + 1] @ count / count.sum())


def _turn_onto_the_others(frame: CommonFrame, volumes: list[np.ndarray], placed: list[np.ndarray], shells: int) -> None:
    """Turn every map onto the mean of the others, one after the other; changes `frame` and `placed`."""
    for each, volume in enumerate(volumes):
        others = sum(placed) - placed[each]
        transform = padded_transform(mirrored_map(volume) if frame.mirrored[each] else volume)
        overlap = Overlap(transform, padded_transform(others), shells)
        start = frame.rotations[each], frame.origins_px[each]
        frame.rotations[each], frame.origins_px[each], _ = improved(overlap, *start, tolerance=1e-2)
        placed[each] = moved_onto(transform, frame.rotations[each], frame.origins_px[each], len(volume))
