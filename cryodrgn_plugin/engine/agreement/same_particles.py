"""Which particles of several runs are the same: those of one image, whatever files list it.

Images are known by their number, however it is padded, and their stack. Where that leaves runs without any particle in
common, folders of stacks, which programs change, say nothing, unless two stacks of a run then have one name. An image
that a run lists several times, as after symmetry expansion, is the first, second, … of that name in every run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import pandas as pd
from scipy.sparse.csgraph import connected_components

from ..data.copies import joined, repeated

ABSENT = -1


@dataclass(frozen=True)
class SharedParticles:
    """The N particles that any of R runs has, as they come: first those of the first run."""

    places: np.ndarray
    """(R, N) int64. Where each is among the particles of a run; ABSENT where that run does not have it."""
    distinct: np.ndarray
    """(N,) bool. False for another tilt image, or another copy, of a particle before it."""

    @property
    def n(self) -> int:
        return len(self.distinct)

    def of_run(self, which: int, values: np.ndarray) -> np.ndarray:
        """(N,) int64. Whole numbers `values` of the particles of a run, in the order of all; ABSENT elsewhere."""
        places = self.places[which]
        return np.where(places < 0, ABSENT, np.asarray(values, np.int64)[places])


def shared_particles(images: Sequence[Sequence[str]], shown: Sequence[np.ndarray]) -> SharedParticles:
    """Match the particles of R runs.

    Parameters
    ----------
    images : of each run `number@stack` of each of its particles.
    shown : of each run (n,) int, equal for images of one particle and for copies of an image.
    """
    places = _places(images, with_folders=True)
    if len(set(held_together(places))) > 1:
        places = _places(images, with_folders=False)
    n = places.shape[1]
    if not any(repeated(own).any() for own in shown):
        return SharedParticles(places, np.ones(n, bool))
    # Where a run does not have a particle it says nothing of it: a label of its own.
    alone = -1 - np.arange(n)
    labels = [np.where(own < 0, alone, of_run[own]) for own, of_run in zip(places, shown, strict=True)]
    return SharedParticles(places, ~repeated(joined(*labels)))


def held_together(places: np.ndarray) -> np.ndarray:
    """(R,) a number for each of R runs, the same for those that common particles hold together, if by way of others.

    `places` (R, N) is negative where a run does not have a particle.
    """
    has = (places >= 0).astype(np.float32)
    return connected_components(has @ has.T > 0, directed=False)[1]


def _places(images: Sequence[Sequence[str]], with_folders: bool) -> np.ndarray:
    """(R, N) int64. Where each of all images is in every run; ABSENT where it is not."""
    codes = _codes(images, with_folders)
    n = max((int(own.max(initial=-1)) + 1 for own in codes), default=0)
    places = np.full((len(codes), n), ABSENT, np.int64)
    for which, own in enumerate(codes):
        places[which, own] = np.arange(len(own))
    return places


def _codes(images: Sequence[Sequence[str]], with_folders: bool) -> list[np.ndarray]:
    """Of each run (n,) int64: one number for one image in all runs, from 0 as they come."""
    parts = [pd.Series(list(names), dtype=str).str.rpartition("@") for names in images]
    short = [{stack: PurePath(stack).name for stack in part[2].unique()} for part in parts]
    if not with_folders and all(len(set(names.values())) == len(names) for names in short):
        for part, names in zip(parts, short, strict=True):
            part[2] = part[2].map(names)
    keys = [part[0].str.lstrip("0") + "@" + part[2] for part in parts]
    ends = np.cumsum([len(key) for key in keys])[:-1]
    listed = pd.factorize(pd.concat(keys, ignore_index=True))[0]
    times = np.concatenate([pd.Series(own).groupby(own).cumcount() for own in np.split(listed, ends)])
    number = pd.factorize(times.astype(np.int64) * (int(listed.max(initial=0)) + 1) + listed)[0]
    return np.split(number.astype(np.int64), ends)
