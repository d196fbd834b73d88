"""The settings of a landscape and of a trajectory. Imports nothing heavy: command line and forms are made from them."""

from dataclasses import dataclass
from typing import Annotated

from ..analysis.analysis_options import GROUPINGS, STATES
from ..config import Settings, require
from ..config.bounds import AtLeast, FolderName, Means, NumberOr, OneOf

KINDS = ("pc", "direct", "graph", "density", "points")
"""Kinds of path."""


@dataclass(frozen=True, kw_only=True)
class LandscapeOptions(Settings):
    clusters: Annotated[int, AtLeast(1), Means(0, "takes the separate states that training found, or else 10")] = 0
    """Clusters in the space of volumes. Groups that stand apart are kept apart, however small; what hangs together is
    divided until there are this many. Raise it when a cluster holds several states."""
    group_by: Annotated[str, OneOf(*GROUPINGS)] = STATES
    """states: clusters are the separate states that training found, where it found as many as there shall be clusters.
    clusters: always what lies together in the space of volumes. Change it when states look alike or seem mixed."""
    linkage: Annotated[str, OneOf("ward", "average")] = "ward"
    """How what hangs together is divided: ward (even in variance) or average (odd volumes apart from the rest)."""
    method: Annotated[str, OneOf("auto", "exact", "sketch")] = "auto"
    """exact: linear algebra on all particles, for decoders made of bases. sketch: volumes of some particles and a
    network for the others, for any decoder. auto: exact where it can be."""
    mask: str = ""
    """Which voxels count: empty for the focus of the run, or else the union of the regions above half of each volume's
    maximum; moving for where volumes differ; an MRC file in the box of the maps; or a sphere as x,y,z,radius in Å from
    the middle of the box."""
    components: Annotated[int, AtLeast(1)] = 10
    """Principal components of the volumes that are kept. Lower it when the last ones are noise."""
    walks: Annotated[int, AtLeast(0)] = 2
    """Components along which maps are made."""
    steps: Annotated[int, AtLeast(2)] = 10
    """Maps along each component."""
    sketch: Annotated[int, AtLeast(10)] = 500
    """Volumes that the sketch makes: at particles nearest to as many k-means centres. Sketch only."""
    mapped: Annotated[int, AtLeast(0)] = 2000
    """Further volumes from which the network learns to place particles; 25,000 in the thesis. Sketch only."""
    states: Annotated[str, NumberOr("auto")] = "auto"
    """Gaussian mixture states: how many, auto to choose by the Bayesian information criterion, 0 for none. auto fits
    none where clusters are the separate states that training found."""
    most_states: Annotated[int, AtLeast(1)] = 10
    """The most states that auto tries."""
    bootstrap: Annotated[int, AtLeast(10)] = 200
    """Resamplings from which the intervals of populations come."""
    match: str = ""
    """Another run of the same particles with a landscape: clusters and states get the numbers of those there with which
    they share most particles. Empty numbers them so that neighbours in number are neighbours in volume space."""
    seed: Annotated[int, AtLeast(0)] = 0
    """Seed of every random draw. Change it to see how much of a picture is chance."""
    volumes: bool = True
    """The maps, and with them their resolutions."""
    figures: bool = True
    """The figures."""


@dataclass(frozen=True, kw_only=True)
class TrajectoryOptions(Settings):
    kind: Annotated[str, OneOf(*KINDS)] = "graph"
    """pc: along a principal component. direct: straight lines between the anchors. graph: from particle to neighbouring
    particle. density: where most particles are. points: through points of a file."""
    anchors: str = ""
    """Particles that the path joins, in order: rows of the star file from 0, as 12,5000,77. Empty for the two ends of
    the principal component."""
    component: Annotated[int, AtLeast(1)] = 1
    """Principal component of the latents, from 1: the path of kind pc, and the ends of the others without anchors."""
    points: str = ""
    """File of latent coordinates for kind points: .txt with one point per line, .npy, or .npz with an array z."""
    steps: Annotated[int, AtLeast(2)] = 20
    """Maps along the path, evenly spaced."""
    neighbors: Annotated[int, AtLeast(2)] = 10
    """Neighbours that a particle has on average in the graph; 5 in the thesis. Raise it for shorter paths."""
    limit: Annotated[int, AtLeast(10)] = 50_000
    """Particles in the graph, drawn at random when there are more; anchors are always among them."""
    space: Annotated[str, OneOf("latent", "volume")] = "latent"
    """Where distances are measured for graph and density: latent, or volume, which needs a landscape."""
    name: Annotated[str, FolderName(), Means("", "is the kind")] = ""
    """Name of the folder in RUN/trajectories; empty for the kind."""
    half_maps: bool = False
    """Write the two half-maps of every map as well."""
    seed: Annotated[int, AtLeast(0)] = 0
    """Seed of every random draw."""
    volumes: bool = True
    """The maps; without them the path alone is found, in seconds."""
    movie: bool = True
    """The movie of the maps (GIF)."""
    figures: bool = True
    """The figures."""

    def check_together(self) -> None:
        require(
            self.kind != "points" or bool(self.points),
            "A trajectory of kind points needs a file of latent coordinates: give points.",
        )
