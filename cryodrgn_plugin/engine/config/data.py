"""How particles are read and prepared."""

from dataclasses import dataclass
from typing import Annotated

from .bounds import AtLeast, Between, Even, Means, OneOf
from .checks import Settings


@dataclass(frozen=True, kw_only=True)
class DataConfig(Settings, section="data"):
    box: Annotated[int, Even(), AtLeast(16), Means(0, "keeps the box")] = 0
    """Box after downsampling, in pixels (even); 0 keeps the box, up to 128. Smaller is faster and blurrier: detail
    stops at two of the new pixels."""
    window: Annotated[float, Between(0.2, 1)] = 0.85
    """Radius of the circular window as a fraction of half the box; a soft edge runs from here to the box edge. Lower it
    when neighbours intrude, 1 switches it off."""
    sign: Annotated[str, OneOf("auto", "white", "black")] = "auto"
    """Contrast of the particles: white (RELION's default), black (they are inverted on reading) or auto (measured)."""
    ctf_applied: Annotated[str, OneOf("auto", "none", "flipped", "multiplied", "corrected")] = "auto"
    """What was done about the CTF to the images before: nothing (none), phases flipped, multiplied by it, or all of it
    corrected for, so that they have none. auto believes the file, unless the images clearly show that it is wrong."""
    passthrough: str = ""
    """Passthrough file of cryoSPARC particles, which has the fields that their .cs file lacks (several: with commas).
    Empty takes those beside it. Of a .csg file all are known."""
    max_particles: Annotated[int, AtLeast(0)] = 0
    """Use only this many particles, drawn at random with the seed; 0 uses all. For a quick first look."""
    cache_mb: Annotated[int, AtLeast(0)] = 512
    """Prepared images kept in memory, in MB; above it they stream from disk each pass. Raise it when there is memory to
    spare."""
    store: str = "auto"
    """Where prepared images lie on disk in half precision, so that passes over them need not transform them again: a
    folder, where they stay for other runs on the same images; auto, the run's own folder until it has finished, where
    they exceed cache_mb; or off. 100,000 images take 0.6 GB in a box of 64 pixels, 2.5 GB in one of 128."""
