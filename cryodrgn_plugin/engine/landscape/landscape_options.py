"""The settings of a landscape and of a trajectory. Imports nothing heavy: command line and forms are made from them."""

from dataclasses import dataclass

from ..errors import ConfigError

LINKAGES = ("ward", "average")
METHODS = ("auto", "exact", "sketch")
KINDS = ("pc", "direct", "graph", "density", "points")
SPACES = ("latent", "volume")

CHOICES = {"linkage": LINKAGES, "method": METHODS, "kind": KINDS, "space": SPACES}
"""Values that a field may have, for options and forms."""


@dataclass(frozen=True, kw_only=True)
class LandscapeOptions:
    clusters: int = 10
    """Clusters in the space of volumes. Groups that stand apart are kept apart, however small; what hangs together is
    divided until there are this many. Raise it when a cluster holds several states."""
    linkage: str = "ward"
    """How what hangs together is divided: ward (even in variance) or average (odd volumes apart from the rest)."""
    method: str = "auto"
    """exact: linear algebra on all particles, for decoders made of bases. sketch: volumes of some particles and a
    network for the others, for any decoder. auto: exact where it can be."""
    mask: str = ""
    """Which voxels count: empty for the union of the regions above half of each volume's maximum, moving for where
    volumes differ, or an MRC file in the box of the maps."""
    components: int = 10
    """Principal components of the volumes that are kept. Lower it when the last ones are noise."""
    walks: int = 2
    """Components along which maps are made."""
    steps: int = 10
    """Maps along each component."""
    sketch: int = 500
    """Volumes that the sketch makes: at particles nearest to as many k-means centres. Sketch only."""
    mapped: int = 2000
    """Further volumes from which the network learns to place particles; 25,000 in the thesis. Sketch only."""
    states: str = "auto"
    """Gaussian mixture states: how many, auto to choose by the Bayesian information criterion, 0 for none."""
    most_states: int = 10
    """The most states that auto tries."""
    bootstrap: int = 200
    """Resamplings from which the intervals of populations come."""
    match: str = ""
    """Another run of the same particles with a landscape: clusters and states get the numbers of those there with which
    they share most particles. Empty numbers them so that neighbours in number are neighbours in volume space."""
    seed: int = 0
    """Seed of every random draw. Change it to see how much of a picture is chance."""
    volumes: bool = True
    """the maps, and with them their resolutions"""
    figures: bool = True
    """the figures"""

    def __post_init__(self) -> None:
        _one_of(self, "linkage", "method")
        for name, least in (
            *(("clusters", 1), ("components", 1), ("walks", 0), ("steps", 2), ("sketch", 10), ("mapped", 0)),
            *(("most_states", 1), ("bootstrap", 10)),
        ):
            _at_least(self, name, least)
        if self.states != "auto" and not self.states.isdigit():
            raise ConfigError(f"states is {self.states!r}; give a number, or auto.")


@dataclass(frozen=True, kw_only=True)
class TrajectoryOptions:
    kind: str = "graph"
    """pc: along a principal component. direct: straight lines between the anchors. graph: from particle to neighbouring
    particle. density: where most particles are. points: through points of a file."""
    anchors: str = ""
    """Particles that the path joins, in order: rows of the star file from 0, as 12,5000,77. Empty for the two ends of
    the principal component."""
    component: int = 1
    """Principal component of the latents, from 1: the path of kind pc, and the ends of the others without anchors."""
    points: str = ""
    """File of latent coordinates for kind points: .txt with one point per line, .npy, or .npz with an array z."""
    steps: int = 20
    """Maps along the path, evenly spaced."""
    neighbors: int = 10
    """Neighbours that a particle has on average in the graph; 5 in the thesis. Raise it for shorter paths."""
    limit: int = 50_000
    """Particles in the graph, drawn at random when there are more; anchors are always among them."""
    space: str = "latent"
    """Where distances are measured for graph and density: latent, or volume, which needs a landscape."""
    name: str = ""
    """Name of the folder in RUN/trajectories; empty for the kind."""
    half_maps: bool = False
    """Write the two half-maps of every map as well."""
    seed: int = 0
    """Seed of every random draw."""
    volumes: bool = True
    """the maps; without them the path alone is found, in seconds"""
    movie: bool = True
    """the movie of the maps (GIF)"""
    figures: bool = True
    """the figures"""

    def __post_init__(self) -> None:
        _one_of(self, "kind", "space")
        for name, least in (("component", 1), ("steps", 2), ("neighbors", 2), ("limit", 10)):
            _at_least(self, name, least)
        if self.kind == "points" and not self.points:
            raise ConfigError("A trajectory of kind points needs a file of latent coordinates: give points.")
        if not all(letter.isalnum() or letter in "-_" for letter in self.name):
            raise ConfigError(f"The name {self.name!r} may have letters, digits, - and _ only.")


def _one_of(options: object, *names: str) -> None:
    for name in names:
        if getattr(options, name) not in CHOICES[name]:
            raise ConfigError(f"{name} is {getattr(options, name)!r}; choose {' or '.join(CHOICES[name])}.")


def _at_least(options: object, name: str, least: int) -> None:
    if getattr(options, name) < least:
        raise ConfigError(f"{name} is {getattr(options, name)}; it must be at least {least}.")
