"""An atomic model as the decoder: what stands for its atoms, how it is kept together, where it lies."""

from dataclasses import dataclass
from typing import Annotated

from .bounds import AtLeast, Means, MoreThan, OneOf
from .checks import Settings, require


@dataclass(frozen=True, kw_only=True)
class AtomsConfig(Settings, section="atoms"):
    model: str = ""
    """Atomic model that is moved (decoder.kind = atoms): a PDB, mmCIF or MMTF file, of any one conformation that the
    particles may have. What it lacks, a ligand or a chain, is not seen."""
    start_from: str = ""
    """Folder of a finished run into whose maps the command atoms has laid a model: training starts with that model, its
    motion and the latents of the particles, and images refine them. In place of a model; z_dim is that of the run and
    encoder.kind table. Empty starts with the model at rest, which large motions are not found from. The recipe
    refined_atoms has the settings for it."""
    place: Annotated[str, OneOf("map", "middle", "mass")] = "map"
    """Where the model lies. map: fitted to a map of these particles, whose corner is the origin, as ChimeraX and RELION
    have it. middle: its origin is the middle of the box. mass: its centre of mass is put there."""
    beads: Annotated[str, OneOf("part", "residue", "atom")] = "part"
    """What stands for the atoms. part: two Gaussian beads per residue, backbone and side chain. residue: one. atom:
    each atom, for maps beyond about 3 Å; many times slower."""
    residues: Annotated[int, AtLeast(1)] = 1
    """Residues in a row that share their beads. Raise it for complexes of many thousand residues, or where images tell
    little."""
    sigma_ang: Annotated[float, MoreThan(0)] = 3.71
    """Width of the beads at the start, in Å (standard deviation); images correct it. The thesis has 3.71."""
    amplitude: Annotated[float, AtLeast(0), Means(0, "is measured")] = 0.0
    """Grey value that an electron adds to the sum over all voxels, at the start; images correct it."""
    bonds: Annotated[float, AtLeast(0)] = 0.1
    """Strength of bonds between neighbours in a chain and of what holds side chains, in 1/Å², against the misfit of one
    image in units of its noise. The thesis has 0.1. Raise it where chains come apart or images are few."""
    elastic: Annotated[float, AtLeast(0)] = 0.0
    """Strength of an elastic network, which keeps what is near in the model at its distance there. Raise it where
    images are too blurred to place single residues; 0 for changes within domains. With atoms.start_from it has no ties
    between what the motion takes apart."""
    elastic_ang: Annotated[float, MoreThan(0)] = 8.0
    """How near two beads of the elastic network are in the model, in Å."""
    steric: Annotated[float, AtLeast(0)] = 0.0
    """Strength of what keeps beads apart that are not bonded. Raise it where several residues end at one place."""
    steric_ang: Annotated[float, MoreThan(0)] = 3.5
    """How near beads may come to each other before that, in Å."""
    warmup_epochs: Annotated[int, AtLeast(0)] = 1
    """Epochs after which beads go back to where the model has them, and only their width and amplitude are kept: as
    long as these are wrong, beads move to make up for it."""
    first_ang: Annotated[float, AtLeast(0), Means(0, "is all at once")] = 0.0
    """Resolution in Å at which training begins; it rises to that of the images over the first half. Beads far from
    their places find them at low resolution only."""

    def check_together(self) -> None:
        require(
            not (self.start_from and self.model),
            "atoms.start_from has a model already, the one that was laid into its maps; leave atoms.model empty.",
        )
        require(
            not self.start_from or self.place == "map",
            f"atoms.place is {self.place}, but the model of atoms.start_from lies in a map; set it to map.",
        )
