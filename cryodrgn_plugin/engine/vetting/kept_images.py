"""Whether prepared images are kept on disk for a training, where, and what is said of it.

They are not needed: without room for them, or where another process is writing them, images are read from their stacks
in every pass, and the results are the same to a few parts in 10⁴.
"""

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from ..data.dataset import ParticleDataset
from ..data.image_store import ImageStore, find_store
from ..data.store_writing import StoreWriting
from ..errors import NO_SPACE
from ..io.writing import remove
from ..ranks import Ranks
from ..run import Run
from ..run_lock import Busy, lock

ROOM_LEFT = 2**28
"""Bytes that a store leaves free on its disk, for what else the run writes."""


def keep_images(run: Run, dataset: ParticleDataset, often: bool) -> None:
    """Give `dataset` a store where the setting `data.store` asks for one, or a training that passes `often` over images
    that do not fit in memory would gain by it: the one that is there, or one that is written now.

    Several processes have one store, that of the first, of which each writes a share; all read from it, or none.

    Raises DataError naming an image that is not finite.
    """
    source, ranks, place = dataset.source, Ranks.present(), _place(run, dataset, often)
    if place is None or not ranks.any(source.store is None):
        return
    place = Path(ranks.first_said(str(place.absolute())))
    source.store = _found(place, dataset, ranks)
    if source.store is not None:
        run.log(f"Prepared images are read from {source.store.path}.")
        return
    reason = _written(run, place, dataset, ranks)
    source.store = _found(place, dataset, ranks)
    if source.store is None:
        run.log(f"Prepared images are not kept on disk: {reason}. They are read from their stacks in every pass.")


def _place(run: Run, dataset: ParticleDataset, often: bool) -> Path | None:
    asked = dataset.config.store
    if asked == "auto":
        return run.image_store_dir if often and not dataset.cache.holds_all else None
    return None if asked == "off" else Path(asked)


def _found(place: Path, dataset: ParticleDataset, ranks: Ranks) -> ImageStore | None:
    """The store of these images, where all processes find it."""
    store = find_store(place, dataset.source, dataset.rows)
    return None if ranks.any(store is None) else store


def _written(run: Run, place: Path, dataset: ParticleDataset, ranks: Ranks) -> str:
    """Write the store; why there is none now, as part of a sentence, or nothing."""
    writing = StoreWriting(place, dataset.source, dataset.rows)
    with ExitStack() as until_written:
        if reason := _tried(lambda: _begun(run, place, writing, until_written), writing, ranks, by_the_first=True):
            return reason
        ranks.total(writing.written)
        told = partial(run.progress, "images")
        if reason := _tried(lambda: writing.write(told, ranks), writing, ranks):
            return reason
        reason = _tried(writing.end, writing, ranks, by_the_first=True)
    return reason or "they do not come back as they were written"


def _begun(run: Run, place: Path, writing: StoreWriting, until_written: ExitStack) -> str:
    """Begin it, and keep others from it; why there is no room for it, or nothing. Raises Busy where others write it."""
    folder, n_images, size_gb = writing.files.folder, len(writing.images), writing.n_bytes / 1e9
    place.mkdir(parents=True, exist_ok=True)
    there = sum(file.stat().st_blocks * 512 for file in folder.glob("*"))
    free = shutil.disk_usage(place).free
    if free < writing.n_bytes - there + ROOM_LEFT:
        return f"{place} has {free / 1e9:.1f} GB free, and they take {size_gb:.1f} GB"
    until_written.enter_context(lock(folder, "store"))
    run.log(f"Preparing {n_images:,} images in {folder} ({size_gb:.2f} GB).")
    writing.begin()
    return ""


def _tried(step: Callable[[], str | None], writing: StoreWriting, ranks: Ranks, by_the_first: bool = False) -> str:
    """Do a step of writing, in all processes or the first; why it could not be done in one of them, or nothing."""
    reason, is_full = "", False
    with ranks.alike():
        try:
            if ranks.own == 0 or not by_the_first:
                reason = step() or ""
        except Busy as held:
            reason = str(held).rstrip(".")
        except OSError as error:
            reason, is_full = f"{writing.files.folder.parent}: {error.strerror}", error.errno in NO_SPACE
    reason = ranks.first_said(reason)
    if ranks.any(is_full) and ranks.own == 0:
        remove(writing.files.folder)
    return reason
