"""Images that stand in a particle set more than once, by whatever names.

An image is another's copy if it has the same name, if its particle lies at the same place of the same micrograph, or if
it is pixel for pixel the same. Copies in both half-sets make these agree on noise, so they share a half-set wherever
halves are drawn (`half_sets`); and as they are one observation they count once wherever particles are counted.
Symmetry-expanded sets, which list an image once for every pose that symmetry allows, are the honest case of the same:
each row has a pose and a latent of its own, and all rows of an image share a half.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ..io.particles import ParticleTable
from ..ranks import Ranks
from .first_look import FirstLook
from .source import ParticleSource

PLACE = ("rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY")
DEPTH, PARTICLE = "rlnCoordinateZ", "rlnTomoParticleName"
TILTS = ("rlnTomoNominalStageTiltAngle", "rlnTomoFrame")
"""Either tells the images of one particle apart."""
SAME_PLACE_PX = 1.5
"""Particles that lie nearer to each other than this are the same; neighbours are a molecule apart."""


@dataclass(frozen=True)
class Copies:
    """Which of N images are copies of others."""

    rows: np.ndarray
    """(N,) int64. Star-file rows from 0."""
    shown: np.ndarray
    """(N,) int64. What each shows, numbered from 0 as they come; an image and its copies share a number."""
    by: dict[str, int]
    """How many are copies of an earlier one by name, by place, by pixels; without those that are none."""

    @property
    def again(self) -> np.ndarray:
        """(N,) bool. Whether an image before it shows the same."""
        return repeated(self.shown)

    @property
    def any(self) -> bool:
        return bool(self.by)

    def at(self, index: np.ndarray) -> "Copies":
        """Those among the images at `index` (numbers or a mask)."""
        shown = numbered(self.shown[index])
        return Copies(self.rows[index], shown, self.by if repeated(shown).any() else {})

    def sentences(self) -> list[str]:
        """What a user should know, in words."""
        if not self.any:
            return []
        times = np.bincount(self.shown)
        if (times == times[0]).all() and "name" in self.by:
            expanded = f"Every image is listed {times[0]} times, as after symmetry expansion"
            return [f"{expanded}; all rows of an image share a half-set, and it counts once in populations."]
        again = self.again
        row = self.rows[np.flatnonzero(again)[0]]
        ways = ", ".join(f"{count:,} by {way}" for way, count in self.by.items())
        found = f"{again.sum():,} of {len(again):,} images are copies of another ({ways}), the first is row {row + 1:,}"
        shared = "copies share a half-set, and each image counts once in populations"
        return [f"{found}; {shared}. `select --once` keeps one of each."]


def find_copies(source: ParticleSource, look: FirstLook, ranks: Ranks | None = None) -> Copies:
    """The copies among the images of a first look; of several processes each compares a share of them."""
    names = {"name": image_identity(source.table)[look.rows], "place": places(source.table)[look.rows]}
    return _copies(look.rows, {**names, "pixels": _same_pixels(source, look, ranks or Ranks())})


def listed_copies(table: ParticleTable, rows: np.ndarray) -> Copies:
    """The copies among star rows (N,) that names and places tell, without a look at the images."""
    return _copies(rows, {"name": image_identity(table)[rows], "place": places(table)[rows]})


def numbered(labels: np.ndarray) -> np.ndarray:
    """(N,) int64. Labels (N,) as numbers from 0, in the order in which they come."""
    return pd.factorize(labels)[0].astype(np.int64)


def joined(*labels: np.ndarray) -> np.ndarray:
    """(N,) int64. Numbers from 0, as they come, of what has one label in any of several ways to label, (N,) each."""
    return _components(len(labels[0]), np.concatenate([_to_first(own) for own in labels]))


def repeated(labels: np.ndarray) -> np.ndarray:
    """(N,) bool. Whether an entry before it has the same label (N,)."""
    return pd.Series(labels).duplicated().to_numpy()


def image_identity(table: ParticleTable) -> np.ndarray:
    """(N,) int64. Equal for rows that name the same image of the same stack, however its number is padded."""
    parts = pd.Series(table.image_names, dtype=str).str.rpartition("@")
    number = parts[0].str.lstrip("0")
    return numbered(number + "@" + parts[2])


def places(table: ParticleTable) -> np.ndarray:
    """(N,) int64. Equal for rows whose particles lie at one place of one micrograph; all differ where none is stated.

    A tilt series shows a particle at one place in each of its images: there the tilt tells rows apart.
    """
    alone = np.arange(table.n)
    tilts = [name for name in TILTS if name in table.frame]
    if not has_places(table) or (PARTICLE in table.frame and not tilts):
        return alone
    axes = [*PLACE[1:], *([DEPTH] if DEPTH in table.frame else [])]
    xyz = np.stack([table.numbers(name, missing_ok=True) for name in axes], axis=1)
    known = np.flatnonzero(np.isfinite(xyz).all(axis=1))
    if not len(known) or not np.ptp(xyz[known], axis=0).any():
        return alone  # a placeholder, such as 0, is no place
    shot = pd.MultiIndex.from_frame(table.frame[[PLACE[0], *tilts]]).factorize()[0]
    points = np.column_stack([xyz, 10 * SAME_PLACE_PX * shot])[known]
    # Rows of the very same place, as symmetry expansion has them, are one before neighbours are looked for in pairs.
    distinct, which = np.unique(points, axis=0, return_inverse=True)
    pairs = cKDTree(distinct).query_pairs(SAME_PLACE_PX, output_type="ndarray")
    together = _components(len(distinct), pairs)[which.reshape(-1)]
    _, first, number = np.unique(together, return_index=True, return_inverse=True)
    alone[known] = known[first[number.reshape(-1)]]
    return alone


def has_places(table: ParticleTable) -> bool:
    """Whether the file says where on which micrograph particles lie."""
    return all(name in table.frame for name in PLACE)


def _copies(rows: np.ndarray, labels: dict[str, np.ndarray]) -> Copies:
    """Copies among star rows (N,) by any of several kinds of labels, (N,) each."""
    by = {way: int(repeated(own).sum()) for way, own in labels.items()}
    return Copies(rows, joined(*labels.values()), {way: count for way, count in by.items() if count})


def _to_first(labels: np.ndarray) -> np.ndarray:
    """(M, 2). Each entry that repeats a label, with the first that has it."""
    _, first, which = np.unique(labels, return_index=True, return_inverse=True)
    pairs = np.stack([np.arange(len(labels)), first[which.reshape(-1)]], axis=1)
    return pairs[pairs[:, 0] != pairs[:, 1]]


def _components(n: int, pairs: np.ndarray) -> np.ndarray:
    """(n,) int64. Numbers from 0, as they come, of what pairs (M, 2) of n entries hold together."""
    if not len(pairs):
        return np.arange(n)
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return numbered(connected_components(graph, directed=False)[1])


def _same_pixels(source: ParticleSource, look: FirstLook, ranks: Ranks) -> np.ndarray:
    """(N,) int. Equal for images that are pixel for pixel the same; those that say nothing are nobody's copies.

    Fingerprints say which may be, and what is stored decides.
    """
    boxes, named = source.stacks.box[look.rows], image_identity(source.table)[look.rows]
    order = np.lexsort((look.rows, boxes, look.fingerprint))
    order = order[~look.lost[order]]
    alike = (np.diff(look.fingerprint[order]) == 0) & (np.diff(boxes[order]) == 0)
    pairs = np.stack([order[:-1][alike], order[1:][alike]], axis=1)
    differ, asked = np.zeros(len(pairs), np.uint8), np.flatnonzero(named[pairs[:, 0]] != named[pairs[:, 1]])
    own = ranks.share(len(asked))
    with ranks.alike():
        for number in asked[own.start : own.stop]:
            one, other = (source.raw(look.rows[place][None]) for place in pairs[number])
            differ[number] = not np.array_equal(one, other)
    ranks.total(differ)
    return _components(len(look.rows), pairs[differ == 0])
