"""The settings of a preflight. Imports nothing heavy: the command line and the hosts' forms are made from them."""

from dataclasses import dataclass
from typing import Annotated

from ..config import Settings
from ..config.bounds import AtLeast, Even


@dataclass(frozen=True, kw_only=True)
class PreflightOptions(Settings):
    particles: Annotated[int, AtLeast(100)] = 10_000
    """Images looked at, drawn at random; names and coordinates are checked for all particles. More for fainter data."""
    box: Annotated[int, Even(), AtLeast(16)] = 64
    """Box to which the images are Fourier-cropped, in pixels. A larger one sees finer detail and takes longer."""
    tested: Annotated[int, AtLeast(100)] = 1500
    """Images on which poses, CTF and pixel size are tried against wrong ones. Raise it when a verdict is uncertain."""
    seed: Annotated[int, AtLeast(0)] = 0
    """Seed of every random draw. Change it to see how much of a verdict is chance."""
    passthrough: str = ""
    """Passthrough file of cryoSPARC particles; empty takes those beside their .cs file."""
    root: str = ""
    """Folder that image paths start from; empty tries the working folder, the star file's and its parents."""
