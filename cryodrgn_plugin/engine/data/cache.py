"""Prepared spectra kept in memory, up to a limit."""

import threading
from collections.abc import Callable

import numpy as np


class SpectraCache:
    """Keeps the first spectra that are asked for until `limit_mb` is used, and does not replace them.

    A pass over a set larger than the cache would replace every entry before it is used again; keeping the first ones
    saves their share of the reading on every pass. Memory is taken as entries are filled. Safe to use from several
    threads.
    """

    def __init__(self, n_rows: int, size: int, limit_mb: float) -> None:
        capacity = int(min(n_rows, limit_mb * 2**20 // (8 * size)))
        self.holds_all = capacity == n_rows
        self._slot = np.full(n_rows, -1, np.int64)
        self._values = np.empty((capacity, size), np.complex64)
        self._used = 0
        self._lock = threading.Lock()

    @property
    def n_held(self) -> int:
        """How many spectra are held now."""
        return self._used

    def get(
        self, rows: np.ndarray, compute: Callable[[np.ndarray, int | None], np.ndarray], count: int | None = None
    ) -> np.ndarray:
        """(B, F) complex64. The first `count` coefficients (None: all) of the spectra of `rows`, from memory or from
        `compute`, which is asked for as many where they are not to be kept."""
        if not len(self._values):
            return compute(rows, count)
        return self._from_memory(rows, compute)[:, :count]

    def _from_memory(self, rows: np.ndarray, compute: Callable[[np.ndarray, int | None], np.ndarray]) -> np.ndarray:
        slots = self._slot[rows]
        missing = np.flatnonzero(slots < 0)
        if not len(missing):
            return self._values[slots]
        fresh = compute(rows[missing], None)
        self._keep(rows[missing], fresh)
        if len(missing) == len(rows):
            return fresh
        result = np.empty((len(rows), self._values.shape[1]), np.complex64)
        held = np.flatnonzero(slots >= 0)
        result[held] = self._values[slots[held]]
        result[missing] = fresh
        return result

    def _keep(self, rows: np.ndarray, spectra: np.ndarray) -> None:
        with self._lock:
            # A row asked for twice, or filled by another thread meanwhile, is kept once.
            unique, first = np.unique(rows, return_index=True)
            absent = self._slot[unique] < 0
            rows, first = unique[absent], first[absent]
            room = len(self._values) - self._used
            rows, first = rows[:room], first[:room]
            slots = self._used + np.arange(len(rows))
            self._values[slots] = spectra[first]
            self._slot[rows] = slots
            self._used += len(rows)
