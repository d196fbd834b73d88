"""The Scipion that host tests run in: folders of its own, set before pyworkflow is imported and reads them."""

import atexit
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile

import pytest

from cryodrgn_plugin import scipion_home

HOME = tempfile.mkdtemp(prefix="scipion-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
os.environ.update(scipion_home.environment(HOME))


@pytest.fixture(scope="session")
def scipion():
    """A configured Scipion; gives its folder."""
    pytest.importorskip("pwem")
    scipion_home.make(HOME)
    return HOME


@pytest.fixture(scope="session")
def workflow(scipion):
    """simulate, train and analyze, run once for all tests that look at their results."""
    from .scipion_project import Workflow

    return Workflow()


@pytest.fixture(scope="session")
def screen():
    """A virtual screen of its own, named by DISPLAY while the tests that need it run."""
    if not shutil.which("Xvfb"):
        pytest.skip("Xvfb is not installed; install the package xvfb.")
    read, write = os.pipe()
    subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"],
        pass_fds=[write], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=_die_with_parent,  # noqa: PLW1509 - it makes one call to prctl
    )  # fmt: skip
    os.close(write)
    before = os.environ.get("DISPLAY")
    os.environ["DISPLAY"] = f":{os.read(read, 16).decode().strip()}"
    yield os.environ["DISPLAY"]
    os.environ.pop("DISPLAY") if before is None else os.environ.update(DISPLAY=before)


@pytest.fixture(scope="module")
def window(workflow, screen):
    """Scipion's window over the project of `workflow`."""
    from pyworkflow.gui.project import ProjectWindow

    with workflow.inside():
        made = ProjectWindow(workflow.project.path)
        made.root.deiconify()
        yield made
        made.root.destroy()


def _die_with_parent() -> None:
    """Ask Linux to end this process with the one that starts it.

    Ending the screen any sooner would end the tests too: Tk and VTK keep their connections until the very end, and Xlib
    exits when one breaks.
    """
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
