"""Maps in programs that are installed beside the plugin: ChimeraX, and the slice viewer that comes with Scipion."""

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ..engine.files import write_map
from . import chimerax_program
from .content import MapEntry

SLICES = "pwem.viewers.mdviewer.volumeViewer"


def installed() -> dict[str, Callable[[Path], str]]:
    """Name of each program that is here, and what opens a map in it and says so."""
    found: dict[str, Callable[[Path], str]] = {}
    if chimerax_program.program() is not None:
        found["ChimeraX"] = open_in_chimerax
    if importlib.util.find_spec("PyQt5") is not None:
        found["slice viewer"] = open_slices
    return found


def file_of(entry: MapEntry) -> Path:
    """The file of a map; one that was made on the spot is written to a folder for such."""
    if entry.volume is None:
        return Path(entry.path).resolve()
    folder = Path(tempfile.gettempdir()) / f"explorer_maps_{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / f"map_{time.strftime('%Y%m%d_%H%M%S')}.mrc"
    write_map(file, entry.volume, entry.pixel_size_ang or 1.0)
    return file


def open_in_chimerax(file: Path) -> str:
    """Start ChimeraX on a map; returns what is to be said of it."""
    return chimerax_program.open_script(file)


def open_slices(file: Path) -> str:
    """Start the slice viewer on a map; returns what is to be said of it."""
    subprocess.Popen([sys.executable, "-m", SLICES, str(file)], start_new_session=True)
    return f"The slice viewer opens {file.name}."
