"""ChimeraX, where there is one: of scipion-em-chimera, or on the path."""

import os
import shutil
import subprocess
from pathlib import Path

PROGRAMS = ("ChimeraX", "chimerax")


def program() -> str | None:
    """The program; None where none is installed."""
    from pwem.viewers.viewer_chimera import Chimera

    known = Chimera.getProgram()
    if known and os.access(known, os.X_OK):
        return known
    return next((found for found in map(shutil.which, PROGRAMS) if found), None)


def open_script(script: Path) -> str:
    """Start ChimeraX on a script, in the folder that its paths start from; returns what is to be said of that."""
    found = program()
    if found is None:
        return f"There is no ChimeraX here; where there is one, open {script} in it."
    try:
        subprocess.Popen([found, script.name], cwd=script.parent, start_new_session=True)
    except OSError as error:
        return f"{found} could not be started ({error.strerror}); open {script} in ChimeraX."
    return f"ChimeraX opens {script.name}."
