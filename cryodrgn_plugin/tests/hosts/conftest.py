"""The Scipion that host tests run in: folders of its own, set before pyworkflow is imported and reads them."""

import atexit
import os
import shutil
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
