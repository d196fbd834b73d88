"""A Scipion that needs no installer: its folders, configuration and environment, made where they are wanted.

Scipion reads its environment when pyworkflow is imported, so `use` must be called before that, in a fresh process.
"""

import os
import subprocess
import sys
from pathlib import Path


def environment(folder: str | os.PathLike) -> dict[str, str]:
    """Variables of a Scipion whose home, user data and configuration lie in `folder`."""
    folder = Path(folder).resolve()
    home = folder / "scipion_home"
    return {
        "SCIPION_DOMAIN": "pwem",
        "SCIPION_HOME": str(home),
        "SCIPION_USER_DATA": str(folder / "ScipionUserData"),
        "SCIPION_LOCAL_CONFIG": str(home / "config" / "scipion.conf"),
        "SCIPION_PYTHON": sys.executable,
        "SCIPION_NOTIFY": "False",
        "SCIPION_TEST_NOSYNC": "True",
    }


def make(folder: str | os.PathLike) -> dict[str, str]:
    """Make the folders and the configuration, unless they are there; returns `environment(folder)`."""
    variables = environment(folder)
    home = Path(variables["SCIPION_HOME"])
    for path in (home / "config", home / "software" / "em", Path(variables["SCIPION_USER_DATA"])):
        path.mkdir(parents=True, exist_ok=True)
    if not (home / "config" / "hosts.conf").exists():
        command = [sys.executable, "-m", "scipion", "config", "--unattended"]
        subprocess.run(command, env={**os.environ, **variables}, check=True, capture_output=True, text=True)
    return variables


def use(folder: str | os.PathLike) -> dict[str, str]:
    """`make`, and take the variables into this process; call it before importing pyworkflow or pwem."""
    variables = make(folder)
    os.environ.update(variables)
    return variables
