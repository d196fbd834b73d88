"""What every test run shares: the host's environment, the reference data, and which tests can run here.

Scipion reads its environment when it is imported, so the variables are set as this file loads, before any test module.
"""

import importlib.util
import os
import sys
import tempfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


def _prepare_environment() -> None:
    scratch = Path(tempfile.gettempdir())
    defaults = {
        "SCIPION_DOMAIN": "pwem",
        "SCIPION_TEST_NOSYNC": "True",
        "SCIPION_NOTIFY": "False",
        "MPLBACKEND": "Agg",
        "QT_QPA_PLATFORM": "offscreen",
        "NUMBA_CACHE_DIR": str(scratch / f"cryodrgn_plugin_numba_{os.getuid()}"),
        "TRITON_CACHE_DIR": str(scratch / f"cryodrgn_plugin_triton_{os.getuid()}"),
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    beside = CHECKOUT.parent / "shared" / "data"
    if "CRYODRGN_PLUGIN_SHARED" not in os.environ and beside.is_dir():
        os.environ["CRYODRGN_PLUGIN_SHARED"] = str(beside)


_prepare_environment()


def _shared_folder() -> Path | None:
    folder = os.environ.get("CRYODRGN_PLUGIN_SHARED", "")
    return Path(folder) if folder and Path(folder).is_dir() else None


def _cuda_present() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture(autouse=True)
def same_random_numbers() -> None:
    """What a test draws from torch's common generator does not depend on the tests before it."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fail-on-skip", action="store_true", help="a skipped test fails the run (for CI)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests whose data or device this machine does not have. Files that take long come first, so that no
    process is left with one at the end."""
    absent = set() if _shared_folder() else {"shared"}
    if any(item.get_closest_marker("gpu") for item in items) and not _cuda_present():
        absent.add("gpu")
    if importlib.util.find_spec("triton") is None:
        absent.add("triton")
    left_out = [item for item in items if any(item.get_closest_marker(name) for name in absent)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, item.path.parent.name != "hosts"))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With --fail-on-skip, a run that skipped anything has failed: a missing tool must not pass for a green run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if skipped and session.config.getoption("--fail-on-skip") and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data; tests that use it carry the `shared` mark."""
    folder = _shared_folder()
    if folder is None:
        pytest.fail("There is no reference data here; mark this test with @pytest.mark.shared.")
    return folder
