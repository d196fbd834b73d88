"""The settings of a preflight. Imports nothing heavy: the command line and the hosts' forms are made from them."""

from dataclasses import dataclass

from ..errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class PreflightOptions:
    particles: int = 10_000
    """Images looked at, drawn at random; names and coordinates are checked for all particles. More for fainter data."""
    box: int = 64
    """Box to which the images are Fourier-cropped, in pixels. A larger one sees finer detail and takes longer."""
    tested: int = 1500
    """Images on which poses, CTF and pixel size are tried against wrong ones. Raise it when a verdict is uncertain."""
    seed: int = 0
    """Seed of every random draw. Change it to see how much of a verdict is chance."""
    root: str = ""
    """Folder that image paths start from; empty tries the working folder, the star file's and its parents."""

    def __post_init__(self) -> None:
        for name, least in (("particles", 100), ("box", 16), ("tested", 100)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least {least}.")
        if self.box % 2:
            raise ConfigError(f"box is {self.box}; it must be even.")
