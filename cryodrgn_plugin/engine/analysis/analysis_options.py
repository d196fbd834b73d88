"""The settings of an analysis. Imports nothing heavy: the command line and the hosts' forms are made from them."""

from dataclasses import dataclass
from typing import Annotated

from ..config import Settings
from ..config.bounds import AtLeast, Means, OneOf

STATES, CLUSTERS = GROUPINGS = ("states", "clusters")
"""What classes of particles may be."""
USUAL_CLASSES = 10
"""Clusters where nobody says how many and training found no separate states."""


@dataclass(frozen=True, kw_only=True)
class AnalysisOptions(Settings):
    clusters: Annotated[int, AtLeast(1), Means(0, "takes the separate states that training found, or else 10")] = 0
    """Classes, each with a map and a particle list. More for finer steps, fewer when maps look alike."""
    group_by: Annotated[str, OneOf(*GROUPINGS)] = STATES
    """states: the separate states that training found, where it found as many as there shall be classes. clusters:
    always k-means clusters of the latents. Change it when maps of states look alike or one of them seems mixed."""
    components: Annotated[int, AtLeast(0)] = 2
    """Principal components along which maps are made. Raise it when the explained variance falls slowly."""
    steps: Annotated[int, AtLeast(2)] = 10
    """Maps along each component and along the curve. More for smoother movies."""
    neighbors: Annotated[int, AtLeast(2)] = 15
    """Neighbours per particle in UMAP. Raise it to see the whole, lower it to see small groups."""
    umap_limit: Annotated[int, AtLeast(2)] = 50_000
    """Particles UMAP is fitted on, drawn at random when there are more; it places the rest. Lower it to save time."""
    seed: Annotated[int, AtLeast(0)] = 0
    """Seed of k-means, UMAP and of every random draw. Change it to see how much of a picture is chance."""
    umap: bool = True
    """The UMAP embedding; the slowest part for many particles."""
    volumes: bool = True
    """The maps, and with them their resolutions."""
    expected: bool = True
    """The FSC to the truth that is expected of every map of a closed-form recipe. It reads the images near each map;
    without it there are figures of half-maps alone, which are too good."""
    figures: bool = True
    """The figures."""
    half_maps: bool = False
    """Write the two half-maps of every map as well, for masking and sharpening elsewhere; three times the disk."""
