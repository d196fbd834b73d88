"""The settings of an analysis. Imports nothing heavy: the command line and the hosts' forms are made from them."""

from dataclasses import dataclass

from ..config import field_help
from ..errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class AnalysisOptions:
    clusters: int = 10
    """k-means clusters, each with a map and a particle list. More for finer steps, fewer when maps look alike."""
    components: int = 2
    """Principal components along which maps are made. Raise it when the explained variance falls slowly."""
    steps: int = 10
    """Maps along each component and along the curve. More for smoother movies."""
    neighbors: int = 15
    """Neighbours per particle in UMAP. Raise it to see the whole, lower it to see small groups."""
    umap_limit: int = 50_000
    """Particles UMAP is fitted on, drawn at random when there are more; it places the rest. Lower it to save time."""
    seed: int = 0
    """Seed of k-means, UMAP and of every random draw. Change it to see how much of a picture is chance."""
    umap: bool = True
    """the UMAP embedding; the slowest part for many particles"""
    volumes: bool = True
    """the maps, and with them their resolutions"""
    expected: bool = True
    """the FSC to the truth that is expected of every map of a closed-form recipe. It reads the images near each map;
    without it there are figures of half-maps alone, which are too good"""
    figures: bool = True
    """the figures"""
    half_maps: bool = False
    """Write the two half-maps of every map as well, for masking and sharpening elsewhere; three times the disk."""

    def __post_init__(self) -> None:
        for name, least in (("clusters", 1), ("components", 0), ("steps", 2), ("neighbors", 2), ("umap_limit", 2)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least {least}.")


def option_help() -> dict[str, str]:
    """Option name to its explanation, in order."""
    return field_help(AnalysisOptions)
