"""What a landscape hands from step to step, before any map is made."""

from dataclasses import dataclass

from ..analysis.populations import Populations
from ..run import Latents
from .clusters import VolumeClusters
from .mixture import States
from .space import VolumeSpace


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
