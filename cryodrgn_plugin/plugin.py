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

from .constants import PROCESSES_VARIABLE, PYTHON_VARIABLE

_logo = "icon.png"
_references = ["Kimanius2022", "Zhong2021"]

# Only looked for, never imported: importing torch here would slow the host's start by seconds.
ENGINE_MODULES = ("torch", "numba", "pandas", "scipy", "sklearn", "matplotlib")


class Plugin(pwem.Plugin):
    """Heterogeneous reconstruction with neural and closed-form methods."""

    @classmethod
    def _defineVariables(cls):
        cls._defineVar(
            PYTHON_VARIABLE,
            "",
            description="Python that runs the reconstruction engine; empty uses Scipion's own environment.",
            var_type=VarTypes.PATH,
        )
        cls._defineVar(
            PROCESSES_VARIABLE,
            "",
            description="Processes that share a training: a number, or gpu for one on each GPU in the form's list.",
            var_type=VarTypes.STRING,
        )

    @classmethod
    def getEnginePython(cls) -> str:
        """Absolute path of the python that runs the engine."""
        return cls.getVar(PYTHON_VARIABLE) or sys.executable

    @classmethod
    def getEnviron(cls) -> Environ:
        """The environment of engine processes: the host's, with output unbuffered so that progress shows at once."""
        environ = Environ(os.environ)
        environ.set("PYTHONUNBUFFERED", "1")
        environ.set(PROCESSES_VARIABLE, cls.getVar(PROCESSES_VARIABLE))
        return environ

    @classmethod
    def validateInstallation(cls) -> list[str]:
        """One sentence per thing that would stop the engine from running; empty when it can."""
        python = cls.getVar(PYTHON_VARIABLE)
        if python:
            usable = os.path.isfile(python) and os.access(python, os.X_OK)
            return [] if usable else [f"{PYTHON_VARIABLE} is {python}, which cannot be run; correct scipion.conf."]
        missing = [name for name in ENGINE_MODULES if importlib.util.find_spec(name) is None]
        if not missing:
            return []
        return [f"The engine needs {', '.join(missing)}, absent from {sys.executable}; install this plugin again."]

    @classmethod
    def defineBinaries(cls, env):
        """Nothing is compiled or downloaded: pip brings the engine."""


# Scipion takes the plugin's name and path from the module of this class, which must be the package.
Plugin.__module__ = __package__
