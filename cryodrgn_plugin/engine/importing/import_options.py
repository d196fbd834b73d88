"""The settings of `import`. Imports nothing heavy: the command line and the hosts' forms are made from them."""

from dataclasses import dataclass
from typing import Annotated

from ..config import Settings
from ..config.bounds import AtLeast, Means, OneOf


@dataclass(frozen=True, kw_only=True)
class ImportOptions(Settings):
    latents: str = ""
    """Latent coordinates of the particles, a row for each: a text or .csv file, .npy, .npz with an array z, cryoDRGN's
    z.pkl, or a .cs file with the components of a 3D Variability Analysis. Empty takes those of the source, if any."""
    particles: str = ""
    """The images of a cryoDRGN training, where they are not at the place that its settings name: .mrcs, .txt, .star or
    .cs."""
    poses: str = ""
    """cryoDRGN's poses.pkl. Of a training empty takes the file that its settings name, or its own poses where it has
    moved them."""
    ctf: str = ""
    """cryoDRGN's ctf.pkl. Of a training empty takes the file that its settings name."""
    indices: str = ""
    """cryoDRGN's ind.pkl: which of the particles, counted from 0, are used and have latents. Of a training empty takes
    the file that its settings name."""
    epoch: Annotated[int, AtLeast(0), Means(0, "takes the last")] = 0
    """Epoch of a cryoDRGN training, counted as its files are."""
    root: str = ""
    """Folder that the paths of image stacks start from; empty tries the working folder, the particle file's folder and
    its parents."""
    passthrough: str = ""
    """Passthrough file of cryoSPARC particles, with the fields that their .cs file lacks (several: with commas)."""
    pixel_size_ang: Annotated[float, AtLeast(0)] = 0.0
    """Pixel size of a stack without ctf.pkl, in Å; 0 takes that of its header."""
    bases: Annotated[int, AtLeast(1)] = 8
    """Maps of imported latents are a mean plus this many bases, along the principal components of the latents or as
    many as these have. More can follow larger motions and need more particles."""
    recipe: Annotated[str, OneOf("fast", "cryodrgn")] = "fast"
    """What is trained on halves of the particles when `validate` is asked about the imported run, in place of the
    program that made it."""
    seed: Annotated[int, AtLeast(0)] = 0
    """Seed of the half-sets, and of the samples of images that are looked at."""
