"""What a landscape hands from step to step, before any map is made."""

from dataclasses import dataclass

import numpy as np

from ..analysis.classes import grouping
from ..analysis.populations import Populations
from ..errors import DataError
from ..latents import Latents
from ..run import Run
from .mixture import States
from .space import VolumeSpace
from .volume_clusters import VolumeClusters


@dataclass(frozen=True)
class Landscape:
    """All particles in the space of volumes, in clusters and states."""

    latents: Latents
    space: VolumeSpace
    clusters: VolumeClusters
    shares: Populations
    """Of the clusters."""
    states: States | None
    state_shares: Populations | None

    @property
    def grouping(self) -> dict[str, str]:
        """What the index says of how particles were grouped, and why."""
        clusters = f"{len(self.clusters.centres)} clusters"
        by_states = self.clusters.posterior is not None
        return grouping(self.latents, by_states, clusters, "what lies together in the space of volumes")


def checked_latents(run: Run) -> Latents:
    """The latents of a run. Raises DataError when there are none, or none that differ and are finite."""
    latents = run.latents()
    if latents.z.shape[1] == 0:
        raise DataError(f"{run.path} has one map for all particles and no latent space.")
    if not np.isfinite(latents.z).all():
        raise DataError(f"{run.path} has latents that are not finite: the training diverged.")
    if (latents.z == latents.z[:1]).all():
        raise DataError(f"{run.path} has all particles at one latent point.")
    return latents
