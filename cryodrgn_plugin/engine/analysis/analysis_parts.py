"""What an analysis hands from step to step: the latents as looked at, and the series of maps that were made."""

from dataclasses import dataclass

import numpy as np

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
    counts: np.ndarray
    """(k,) particles of each class: copies of an image once, and of separate states the sum of posteriors."""


@dataclass(frozen=True)
class MadeSeries:
    """A series and its maps."""

    series: Series
    maps: list[MadeMap]
    level: float
    """One density at which to draw all of them: the median of their own."""
