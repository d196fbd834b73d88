"""The settings of `export`. Imports nothing heavy: the command line and the hosts' forms are made from them."""

from dataclasses import dataclass
from typing import Annotated

from ..config import Settings
from ..config.bounds import OneOf


@dataclass(frozen=True, kw_only=True)
class ExportOptions(Settings):
    program: Annotated[str, OneOf("cryosparc", "cryodrgn")] = "cryosparc"
    """Whose files are written: a .cs file with its result group, or poses.pkl, ctf.pkl, z.pkl and ind.pkl."""
    classes: bool = True
    """Also write the particles of each class of RUN/analysis by themselves, where there is one."""
    only: str = ""
    """Text file with the rows of the particles to write, counted from 0 in the file that the run was made from, one a
    line; empty writes all of the run."""
