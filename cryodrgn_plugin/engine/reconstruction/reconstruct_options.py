"""The options of a reconstruction. Imports nothing heavy: the command line and the hosts' forms are made from them."""

from dataclasses import dataclass
from typing import Annotated

from ..config import Settings
from ..config.bounds import OneOf

RECONSTRUCT_SETTINGS = (
    "root",
    "seed",
    "data.box",
    "data.window",
    "data.sign",
    "data.ctf_applied",
    "data.passthrough",
    "data.max_particles",
)
"""The settings of a run that mean something to a reconstruction, too."""


@dataclass(frozen=True, kw_only=True)
class ReconstructOptions(Settings):
    mask: str = "auto"
    """Mask of the FSC: auto, which is made from the map; sphere; or a map file with the box of the particles."""
    halves: Annotated[str, OneOf("auto", "star", "random")] = "auto"
    """The halves: by rlnRandomSubset (star), by chance (random), or by rlnRandomSubset where the file has it (auto)."""
