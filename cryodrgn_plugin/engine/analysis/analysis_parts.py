"""What an analysis hands from step to step: the latents as looked at, and the series of maps that were made."""

from dataclasses import dataclass

from ..latents import Latents
from .embed import Pca, UmapEmbedding
from .latent_clusters import Clusters
from .series import Series
from .volumes import MadeMap


@dataclass(frozen=True)
class LatentView:
    """What is known of the latents before any map is made."""

    latents: Latents
    pca: Pca
    umap: UmapEmbedding | None
    clusters: Clusters


@dataclass(frozen=True)
class MadeSeries:
    """A series and its maps."""

    series: Series
    maps: list[MadeMap]
    level: float
    """One density at which to draw all of them: the median of their own."""
