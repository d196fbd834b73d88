"""The class Scipion looks for: what the plugin is called, which python runs the engine, and whether it can run.

The engine is a command line in the same environment as the host by default. `CRYODRGN_PLUGIN_PYTHON` in scipion.conf
names another environment's python (one with a GPU build of torch, say); that environment needs this package too.
"""

import importlib.util
import os
import sys

import pwem
from pyworkflow import VarTypes
from pyworkflow.utils import Environ

from .constants import PYTHON_VARIABLE, URL

_logo = "icon.png"
_references = ["Kimanius2022", "Zhong2021"]

# Distribution names as they are imported; checked by looking for them, because importing torch would slow the host down.
ENGINE_MODULES = ("torch", "numba", "pandas", "scipy", "sklearn", "matplotlib")


class Plugin(pwem.Plugin):
    """Heterogeneous reconstruction with neural and closed-form methods."""

    _url = URL
    _processingField = [pwem.Plugin._processingField] if isinstance(pwem.Plugin._processingField, str) else []

    @classmethod
    def _defineVariables(cls):
        cls._defineVar(
            PYTHON_VARIABLE,
            "",
            description="Python that runs the reconstruction engine; empty uses Scipion's own environment.",
            var_type=VarTypes.PATH,
        )

    @classmethod
    def getEnginePython(cls) -> str:
        """Absolute path of the python that runs the engine."""
        return cls.getVar(PYTHON_VARIABLE) or sys.executable

    @classmethod
    def getEnviron(cls) -> Environ:
        """The environment of engine processes: this package importable, output unbuffered so that progress shows."""
        environ = Environ(os.environ)
        package_parent = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        environ.set("PYTHONPATH", package_parent, position=Environ.BEGIN)
        environ.update({"PYTHONUNBUFFERED": "1"})
        return environ

    @classmethod
    def validateInstallation(cls) -> list[str]:
        """One sentence per thing that would stop the engine from running; empty when it can."""
        python = cls.getVar(PYTHON_VARIABLE)
        if python:
            return [] if os.access(python, os.X_OK) else [f"{PYTHON_VARIABLE} is {python}, which is no program; correct it in scipion.conf."]
        missing = [name for name in ENGINE_MODULES if importlib.util.find_spec(name) is None]
        if missing:
            return [f"The engine needs {', '.join(missing)}, not found in {sys.executable}; install the package again with its dependencies."]
        return []

    @classmethod
    def defineBinaries(cls, env):
        """There is nothing to compile or download: pip brings the engine."""


# Scipion takes the plugin's name and path from the module of this class; it must be the package.
Plugin.__module__ = __package__
