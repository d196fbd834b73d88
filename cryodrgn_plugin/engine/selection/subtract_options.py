"""What `subtract` can be asked for."""

from dataclasses import dataclass

from ..config import Settings


@dataclass(frozen=True, kw_only=True)
class SubtractOptions(Settings):
    mask: str = ""
    """What stays in the images: an MRC mask in the box of the run's maps, or a sphere as x,y,z,radius in Å from the
    middle of the box. Empty takes the focus of the run."""
    mean: bool = False
    """Subtract the mean map from every image, instead of the map at the image's own latent coordinates."""
