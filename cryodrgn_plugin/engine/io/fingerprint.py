"""What tells one particle set from another: digests of a table by what they decide, and how much its stacks hold.

A run keeps them, and whoever takes it up again compares: rows that were sorted or left out, poses that were refined and
stacks that were extracted anew give other particles under the old name.
"""

import hashlib
from typing import Any

import numpy as np

from .particles import ParticleTable
from .stacks import StackReader

ROWS, IMAGES, POSES, CTF, PIXELS = "rows", "images", "poses", "ctf", "stack_bytes"
_WORDS = {
    ROWS: "has {now:,} particles where it had {before:,}",
    IMAGES: "lists other images, or the same in another order",
    POSES: "has other poses",
    CTF: "has other CTFs or pixel sizes",
    PIXELS: "has stacks of another size",
}


def fingerprint(table: ParticleTable, stacks: StackReader | None = None) -> dict[str, Any]:
    """Digests of the rows of a table as JSON values; with its stacks, also how many bytes those hold."""
    known = rows_alone(table) | {
        POSES: _digest(*_bytes(table.euler_deg, table.origins_ang)),
        CTF: _digest(*_ctf(table), *_bytes(table.pixel_size_ang, table.optics_group)),
    }
    if stacks is not None:
        known[PIXELS] = sum(header.shape[0] * header.image_bytes for header in stacks.headers)
    return known


def rows_alone(table: ParticleTable) -> dict[str, Any]:
    """The parts of a fingerprint that say which image each row is."""
    # Folders are left out: a set that was moved is the same.
    return {ROWS: table.n, IMAGES: _digest("\n".join(map(_without_folder, table.image_names)).encode())}


def changes(before: dict[str, Any], now: dict[str, Any], *which: str) -> list[str]:
    """What differs between two fingerprints, in words to follow the name of the file; of the parts named, or of all."""
    different = [name for name in which or _WORDS if name in before and name in now and before[name] != now[name]]
    if ROWS in different:
        different = [ROWS]
    return [_WORDS[name].format(before=before[name], now=now[name]) for name in different]


def _without_folder(name: str) -> str:
    number, at, stack = name.rpartition("@")
    return f"{number.lstrip('0')}{at}{stack.rpartition('/')[2]}"


def _ctf(table: ParticleTable) -> list[bytes]:
    params = table.ctf()
    return [] if params is None else _bytes(*vars(params).values())


def _bytes(*arrays: np.ndarray | None) -> list[bytes]:
    return [b"" if values is None else np.asarray(values, "<f8").tobytes() for values in arrays]


def _digest(*parts: bytes) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()
