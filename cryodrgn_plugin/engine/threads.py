"""Who may run on how many threads: the one place that decides, before the libraries that would decide for themselves.

Threads of different pools do not know of each other. numba's and torch's are OpenMP's and sleep while they wait, if
they are asked to before they start. OpenBLAS, behind numpy and scipy, keeps a pool of its own whose threads wait by
calling `sched_yield` again and again: where other work wants the cores, each call gives away a time slice, or costs
system time (benchmarks/shared_machine.py). Our products of small matrices gain nothing from that pool, and one thread
sums in one order, so it is closed.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

POOLS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")
"""What limits the threads of torch and of numba; hosts set both to the number that the user chose."""

OPENMP_USERS = ("torch", "numba.np.ufunc.omppool", "sklearn.utils._openmp_helpers", "sklearn.cluster")
"""Modules that load a library of OpenMP."""


def let_waiting_threads_sleep() -> None:
    """OpenMP's threads that wait for each other sleep at once; by default they spin for milliseconds.

    It is read when torch and numba are loaded, so it is said when the engine is.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def settle() -> None:
    """Give the pools of this process one number of threads, and linear algebra one thread.

    For the start of a program of the engine: programs that it starts inherit this. What the user has set stays, and
    where numpy is loaded already it is too late, so that nothing changes.
    """
    if "numpy" in sys.modules:
        return
    threads = str(available())
    for pool in POOLS:
        os.environ.setdefault(pool, threads)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@contextmanager
def sums_in_one_order() -> Iterator[None]:
    """One OpenMP thread inside the block. k-means of scikit-learn adds up its centres thread by thread, and products of
    matrices may add up parts of long rows so, so that their last digits, and all that is built on them, would depend on
    the number of threads.
    """
    with _openmp_pools(tuple(name for name in OPENMP_USERS if name in sys.modules)).limit(limits=1, user_api="openmp"):
        yield


@lru_cache(maxsize=1)
def _openmp_pools(loaded: tuple[str, ...]) -> "ThreadpoolController":
    """The pools of this process. To look for them takes milliseconds, which is long beside small sums; each of those
    `loaded` may have brought another."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def available() -> int:
    """Threads that one computation may use: the least that the user's limits and the cores of this process allow."""
    limits = [int(os.environ[pool]) for pool in POOLS if os.environ.get(pool, "").isdecimal()]
    return max(min([*limits, cores()]), 1)


def cores() -> int:
    """Cores that this process may run on, which a queue can make fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
