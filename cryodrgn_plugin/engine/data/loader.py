"""Batches in a reproducible random order, prepared by a background thread while the last ones are being used."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

import numpy as np

from ..imaging.lattice import HalfPlane
from ..ranks import Ranks
from .batch import ImageBatch
from .cache import SpectraCache
from .tilt_series import SeriesDataset

Item = TypeVar("Item")

BLOCK = 64
"""Images that are neighbours on disk and are read together when the set does not fit in memory."""
WINDOW_MB = 64
"""Prepared spectra within which order is shuffled freely when streaming."""
AHEAD = 4
"""Batches prepared in advance."""


class BatchSource(Protocol):
    """What batches are made of: a dataset of particles, or of pairs of images."""

    @property
    def n(self) -> int: ...

    @property
    def lattice(self) -> HalfPlane: ...

    @property
    def cache(self) -> SpectraCache: ...

    @property
    def stored_order(self) -> np.ndarray:
        """(n,) int64. Particle numbers in the order in which their images lie on disk."""

    def batch(self, index: np.ndarray, count: int | None = None) -> ImageBatch:
        """The images of the particles `index`, with their first `count` coefficients (None: all)."""


class BatchLoader:
    """Passes over a dataset in batches.

    The order depends on the seed and the epoch alone. A set that fits the dataset's cache is shuffled freely. A larger
    one is shuffled as blocks of neighbours on disk, and images within windows of many blocks, so that reading stays
    local.

    Parameters
    ----------
    batch_size : particles per batch; the last batch of an epoch may be smaller, unless `drop_last`.
    shuffle : False goes through the particles in their order.
    ranks : processes that share every batch; each reads its own particles of it.
    """

    def __init__(
        self,
        dataset: BatchSource,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
        ranks: Ranks | None = None,
    ) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.seed = seed
        self.ranks = ranks or Ranks()
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.wait_seconds = 0.0
        """Time the consumer has spent waiting for batches, over all epochs."""
        self._streams = not dataset.cache.holds_all

    def __len__(self) -> int:
        """Batches per epoch."""
        return self.dataset.n // self.batch_size if self.drop_last else -(-self.dataset.n // self.batch_size)

    def particles_in(self, batch: int) -> int:
        """Of a batch, counted from 0, in all processes."""
        return min(self.batch_size, self.dataset.n - batch * self.batch_size)

    def images_in(self, batch: int, order: np.ndarray) -> np.ndarray:
        """(P,) int. How many images each particle of a batch has, in all processes; `order` (N,) is the epoch's."""
        particles = order[batch * self.batch_size : (batch + 1) * self.batch_size]
        if isinstance(self.dataset, SeriesDataset):
            return self.dataset.series.counts[particles]
        return np.ones(len(particles), np.int64)

    def order(self, epoch: int) -> np.ndarray:
        """(N,) int64. The order of particles in an epoch."""
        if not self.shuffle:
            return np.arange(self.dataset.n)
        rng = np.random.default_rng([self.seed, epoch])
        if not self._streams:
            return rng.permutation(self.dataset.n)
        stored = self.dataset.stored_order
        starts = rng.permutation(np.arange(0, len(stored), BLOCK))
        blocks = np.concatenate([stored[start : start + BLOCK] for start in starts])
        size = self._window
        return np.concatenate([rng.permutation(blocks[i : i + size]) for i in range(0, len(blocks), size)])

    def iterate(
        self, epoch: int, start_batch: int = 0, stop_batch: int | None = None, count: int | None = None
    ) -> Iterator[ImageBatch]:
        """The batches of an epoch, from `start_batch` to before `stop_batch` or the end, images with their first
        `count` coefficients (None: all). An error of the reading thread is raised here."""
        return in_background(lambda: self._batches(epoch, start_batch, stop_batch, count), self._waited)

    def _waited(self, seconds: float) -> None:
        self.wait_seconds += seconds

    @property
    def _window(self) -> int:
        images = int(WINDOW_MB * 2**20 / (8 * self.dataset.lattice.size))
        return max(images // BLOCK, 1) * BLOCK

    def _batches(self, epoch: int, start_batch: int, stop_batch: int | None, count: int | None) -> Iterator[ImageBatch]:
        order = self.order(epoch)[: (len(self) if stop_batch is None else stop_batch) * self.batch_size]
        for first in range(start_batch * self.batch_size, len(order), self.batch_size):
            batch = order[first : first + self.batch_size]
            own = self.ranks.share(len(batch))
            yield self.dataset.batch(batch[own.start : own.stop], count)


def in_background(
    items: Callable[[], Iterable[Item]], waited: Callable[[float], object] = lambda seconds: None
) -> Iterator[Item]:
    """The items, made a few ahead by a thread of their own. An error in there is raised here.

    `waited` is told the seconds that each item was waited for.
    """
    ready: queue.Queue = queue.Queue(maxsize=AHEAD)
    stop = threading.Event()
    worker = threading.Thread(target=_produce, args=(items, ready, stop), daemon=True)
    worker.start()
    try:
        while True:
            began = time.perf_counter()
            item = ready.get()
            waited(time.perf_counter() - began)
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        worker.join()


def _produce(items: Callable[[], Iterable], ready: queue.Queue, stop: threading.Event) -> None:
    try:
        for item in items():
            if not _put(ready, item, stop):
                return
        _put(ready, None, stop)
    except BaseException as error:  # noqa: BLE001 - handed to the consumer, which raises it
        _put(ready, error, stop)


def _put(ready: queue.Queue, item: object, stop: threading.Event) -> bool:
    """Hand an item over unless the consumer has gone."""
    while not stop.is_set():
        try:
            ready.put(item, timeout=0.1)
            return True
        except queue.Full:
            continue
    return False
