"""Threads: one number for all pools, one for linear algebra, and nothing changed for programs that are not ours."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from cryodrgn_plugin.engine import threads
from cryodrgn_plugin.engine.closed_form.nodes import fit_nodes

VARIABLES = (*threads.POOLS, "OPENBLAS_NUM_THREADS", "OMP_WAIT_POLICY")


def said_by(code: str, **environment: str) -> list[str]:
    """Words that a fresh process prints; of the variables that decide on threads it knows only `environment`."""
    inherited = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=inherited | environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


POOL_SIZES = """
from cryodrgn_plugin.engine.cli.main import main
main(["--version"])
import numba, torch, scipy.linalg, threadpoolctl
from cryodrgn_plugin.engine import threads
linear_algebra = [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
print(numba.get_num_threads(), torch.get_num_threads(), max(linear_algebra), threads.available())
"""


def test_a_program_of_the_engine_has_one_number_of_threads_and_one_thread_for_linear_algebra():
    cores = str(threads.cores())
    assert said_by(POOL_SIZES)[2:] == [cores, cores, "1", cores]


@pytest.mark.parametrize("pool", threads.POOLS)
def test_a_limit_of_one_pool_limits_the_other(pool):
    assert said_by(POOL_SIZES, **{pool: "1"})[2:] == ["1", "1", "1", "1"]


def test_what_the_user_says_of_linear_algebra_stays():
    assert said_by(POOL_SIZES, OPENBLAS_NUM_THREADS="2")[4] == str(min(2, threads.cores()))


def test_a_host_that_imports_the_engine_gives_its_programs_no_limits():
    code = f"import os, cryodrgn_plugin.engine.config\nprint(*[n for n in {VARIABLES!r} if n in os.environ])"
    assert said_by(code) == ["OMP_WAIT_POLICY"]


@pytest.mark.parametrize("said", [{}, {"THP_MEM_ALLOC_ENABLE": "0"}], ids=["nothing", "no"])
def test_large_pages_are_asked_for_unless_the_user_says_no(said):
    code = "import os, cryodrgn_plugin.engine.config\nprint(os.environ['THP_MEM_ALLOC_ENABLE'])"
    inherited = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=inherited | said, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [said.get("THP_MEM_ALLOC_ENABLE", "1")]


def test_where_numpy_is_loaded_nothing_changes():
    code = (
        "import os, numpy\nfrom cryodrgn_plugin.engine import threads\nthreads.settle()\n"
        f"print(*[n for n in {threads.POOLS!r} if n in os.environ], 'nothing')"
    )
    assert said_by(code) == ["nothing"]


def test_nodes_are_the_same_for_any_number_of_threads():
    rng = np.random.default_rng(3)
    inner = torch.from_numpy(rng.normal(size=(3000, 5)))
    gram = torch.eye(5) + 0.1 * torch.ones(3000, 5, 5, dtype=torch.float64)
    by_threads = []
    for count in (1, 2, 3):
        with threadpool_limits(count, user_api="openmp"):
            by_threads.append(fit_nodes(gram, inner, inner[:, 1:], count=40, rounds=2, seed=0).nodes)
    assert all(torch.equal(by_threads[0], nodes) for nodes in by_threads)


def test_available_threads_are_bounded_by_the_cores_of_this_process(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 8)
    for limits, expected in (("", ""), 8), (("4", ""), 4), (("16", "6"), 6), (("0", ""), 1), (("4,2", ""), 8):
        for pool, limit in zip(threads.POOLS, limits, strict=True):
            monkeypatch.setenv(pool, limit)
        assert threads.available() == expected
