"""Which images a store holds, and how they were prepared: what tells that it is the one wanted, or has all that is.

An image is known by its stack, its section there and its preparation. A stack is known by its name, size, time of
change and some of its bytes, wherever it lies; so a set that was moved finds its store, and one that was extracted anew
under the same name does not. A preparation is all that is done to an image: box, window, grey scale with the sign, what
counts as far out, aberrations that are taken off. Poses and CTFs are none of it, so they may change.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..imaging.lattice import HalfPlane

if TYPE_CHECKING:
    from .source import ParticleSource

PREPARED = 2
"""Raised when spectra of the same images would come out otherwise than before."""
ALWAYS_SAMPLED = 2**26
"""Bytes from which on a stack is always looked into; of smaller ones, of which there may be thousands, one in 16."""
SAMPLED, SAMPLES = 4096, 4


@dataclass(frozen=True)
class StoredImages:
    """M different images on one lattice, in the order in which they are stored."""

    lattice: HalfPlane
    stacks: list[str]
    """What each stack is known by."""
    preparations: list[str]
    """What each preparation is known by."""
    image: np.ndarray
    """(M, 3) int64. Stack, section and preparation of each image, each counted from 0; rows differ, and rise."""

    @classmethod
    def of(cls, source: "ParticleSource", rows: np.ndarray) -> "tuple[StoredImages, np.ndarray, np.ndarray]":
        """The images at star rows (N,); with the number of each row's image (N,), and a row of each image (M,)."""
        stacks, reader = np.unique(source.stacks.stack[rows], return_inverse=True), source.stacks
        groups = np.unique(source.group[rows], return_inverse=True)
        listed = np.stack([stacks[1].ravel(), reader.section[rows], groups[1].ravel()], axis=1)
        image, first, number = _unique(listed)
        known = [stack_identity(reader.paths[stack]) for stack in stacks[0]]
        prepared = [_preparation(source, int(group)) for group in groups[0]]
        return cls(source.lattice, known, prepared, image), number, rows[first]

    def __len__(self) -> int:
        return len(self.image)

    @cached_property
    def digest(self) -> str:
        """The same for the same images, prepared in the same way."""
        whole = "\n".join([repr(self.lattice), *self.stacks, *self.preparations])
        return hashlib.blake2b(whole.encode() + self.image.tobytes(), digest_size=12).hexdigest()

    def places_of(self, wanted: "StoredImages") -> np.ndarray | None:
        """(M',) int64. Which of these images each one of `wanted` is; None unless all are among them."""
        if wanted.lattice != self.lattice:
            return None
        stacks, preparations = _numbers(wanted.stacks, self.stacks), _numbers(wanted.preparations, self.preparations)
        asked = np.stack([stacks[wanted.image[:, 0]], wanted.image[:, 1], preparations[wanted.image[:, 2]]], axis=1)
        both = np.concatenate([self.image, asked])
        if asked.min(initial=0) < 0:
            return None
        number = _unique(both)[2]
        place = np.full(number.max(initial=-1) + 1, -1)
        place[number[: len(self)]] = np.arange(len(self))
        found = place[number[len(self) :]]
        return None if found.min(initial=0) < 0 else found


def stack_identity(path: Path) -> str:
    """Name, size and time of change of a stack, with a digest of some of its bytes where those are looked at."""
    about, name = path.stat(), path.resolve().name
    known = f"{name} {about.st_size} {about.st_mtime_ns}"
    if about.st_size < ALWAYS_SAMPLED and hashlib.blake2b(name.encode()).digest()[0] % 16:
        return known
    digest = hashlib.blake2b(digest_size=8)
    with open(path, "rb") as file:
        for offset in np.linspace(0, max(about.st_size - SAMPLED, 0), SAMPLES).astype(int):
            file.seek(int(offset))
            digest.update(file.read(SAMPLED))
    return f"{known} {digest.hexdigest()}"


def _preparation(source: "ParticleSource", group: int) -> str:
    own, correction = source.preparations[group], source.preparations[group].correction
    done: list[object] = [PREPARED, own.box, own.window, own.has_noise, own.gain, own.reach, int(source.reach[group])]
    if correction is not None:
        done += [correction.aberrations, correction.turned_back(np.ones(source.lattice.size, np.complex64)).tobytes()]
    return hashlib.blake2b(repr(done).encode(), digest_size=12).hexdigest()


def _unique(listed: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Different rows of (N, 3) numbers in rising order, the first place of each, and which of them each row is."""
    order = np.lexsort(listed.T[::-1])
    fresh = np.ones(len(listed), bool)
    fresh[1:] = (np.diff(listed[order], axis=0) != 0).any(1)
    number = np.empty(len(listed), np.int64)
    number[order] = np.cumsum(fresh) - 1
    first = order[fresh]
    return listed[first], first, number


def _numbers(names: list[str], known: list[str]) -> np.ndarray:
    """(n,) int64 place of each name among those known, −1 where it is not."""
    place = {name: number for number, name in enumerate(known)}
    return np.array([place.get(name, -1) for name in names], np.int64)
