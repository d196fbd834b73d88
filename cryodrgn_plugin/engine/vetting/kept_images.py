"""Whether prepared images are kept on disk for a training, where, and what is said of it.

They are not needed: without room for them, or where another process is writing them, images are read from their stacks
in every pass, and the results are the same to a few parts in 10⁴.
"""

import shutil
from pathlib import Path

from ..data.dataset import ParticleDataset
from ..data.image_store import find_store
from ..data.store_files import StoreFiles
from ..data.store_key import StoredImages
from ..data.store_writing import write_store
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

    Raises DataError naming an image that is not finite.
    """
    place = _place(run, dataset, often)
    source = dataset.source
    if place is None or source.store is not None:
        return
    source.store = find_store(place, source, dataset.rows)
    if source.store is not None:
        run.log(f"Prepared images are read from {source.store.path}.")
        return
    reason = _written(run, place, dataset)
    source.store = find_store(place, source, dataset.rows)
    if source.store is None:
        run.log(f"Prepared images are not kept on disk: {reason}. They are read from their stacks in every pass.")


def _place(run: Run, dataset: ParticleDataset, often: bool) -> Path | None:
    asked = dataset.config.store
    if asked == "auto":
        # Several processes read a part of the images each, and would each write a store of all.
        gains = often and not dataset.cache.holds_all and Ranks.present().alone
        return run.image_store_dir if gains else None
    return None if asked == "off" else Path(asked)


def _written(run: Run, place: Path, dataset: ParticleDataset) -> str:
    """Write the store; why there is none now, as part of a sentence, or nothing."""
    images = StoredImages.of(dataset.source, dataset.rows)[0]
    files = StoreFiles(place / images.digest)
    size = sum(files.sizes(len(images), images.lattice).values())
    try:
        place.mkdir(parents=True, exist_ok=True)
        there = sum(file.stat().st_blocks * 512 for file in files.folder.glob("*"))
        free = shutil.disk_usage(place).free
        if free < size - there + ROOM_LEFT:
            return f"{place} has {free / 1e9:.1f} GB free, and they take {size / 1e9:.1f} GB"
        with lock(files.folder, "store"):
            run.log(f"Preparing {len(images):,} images in {files.folder} ({size / 1e9:.2f} GB).")
            write_store(place, dataset.source, dataset.rows, lambda done, total: run.progress("images", done, total))
    except Busy as held:
        return str(held).rstrip(".")
    except OSError as error:
        if error.errno in NO_SPACE:
            remove(files.folder)
        return f"{place}: {error.strerror}"
    return "they do not come back as they were written"
