"""The settings of `atoms`. Imports nothing heavy: the command line and the hosts' forms are made from them."""

from dataclasses import dataclass
from typing import Annotated

from ..config import Settings
from ..config.bounds import AtLeast, Between, Means


@dataclass(frozen=True, kw_only=True)
class AtomsOptions(Settings):
    model: str = ""
    """File of the atomic model: PDB or mmCIF, also compressed. It need not lie in the map; the whole of what images
    show should be in it, in the shape that it has in some of them."""
    maps: Annotated[int, AtLeast(2), Means(0, "takes the separate states that training found, or else 16")] = 0
    """At how many points of the latent space the model is laid into the map there. More for motions of more than
    90°."""
    most_parts: Annotated[int, Between(1, 12)] = 5
    """Rigid parts that are looked for at most; there are as many as explain the maps of held-out particles. 1 takes the
    molecule to be rigid."""
    corrected: bool = True
    """The map of all particles with the motion of the parts undone; it reads the images three times."""
    bias: bool = True
    """The check of the model against maps that the images near each state make without it; it reads the images near
    states."""
    figures: bool = True
    """The figures."""
    seed: Annotated[int, AtLeast(0)] = 0
    """Seed of k-means, of decoys and of every random draw."""
