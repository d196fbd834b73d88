"""All images are read for the first time (`first_look`): by one process, or each of several reads a share.

Every process ends with what one alone would see, to the last bit, and with the same error where an image is at fault.
"""

from collections.abc import Iterator

import numpy as np

from ..ranks import Ranks
from .first_look import FirstLook
from .source import ParticleSource

PIXELS_AT_ONCE = 2**19


def look_at(source: ParticleSource, rows: np.ndarray, ranks: Ranks | None = None) -> FirstLook:
    """Read the images at star rows (N,) once, in the order in which they are stored; where they are in a store, that
    has been done.

    Raises DataError naming the row of an image that holds NaN or infinite values, or whose squares single precision
    does not hold.
    """
    ranks, store = ranks or Ranks(), source.store
    missing = ranks.any(store is None or not store.holds(rows))
    if store is not None and not missing:
        return store.look(rows)
    look, lots = FirstLook.nothing(rows), list(_lots(source, rows))
    own = ranks.share(len(lots))
    with ranks.alike():
        for group, places in lots[own.start : own.stop]:
            look.take(source.table.path, places, source.mended(group, rows[places]).seen)
    ranks.total(look.far_out, look.lost.view(np.uint8), look.fingerprint.view(np.int64))
    return look


def _lots(source: ParticleSource, rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Optics groups, and places among the rows (N,) of images of each that are read together."""
    rank = np.empty(source.table.n, np.int64)
    rank[source.stacks.stored_order] = np.arange(source.table.n)
    order = np.argsort(rank[rows], kind="stable")
    for group, members in source.by_group(rows[order]):
        step = max(1, PIXELS_AT_ONCE // int(source.geometry.boxes[group]) ** 2)
        for start in range(0, len(members), step):
            yield group, order[members[start : start + step]]
