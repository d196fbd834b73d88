"""The explorer from what a protocol of ours has given: trained particles, maps with latents, classes."""

from pwem.objects import SetOfClasses3D, SetOfParticlesFlex, SetOfVolumesFlex
from pyworkflow.viewer import Viewer

from ..constants import PROGRAM_NAME
from ..protocols.trained import trained_run
from .viewer_explorer import HetExplorerViewer


class HetOutputsViewer(Viewer):
    """Opens the explorer of the protocol that made a set, or whose training its particles carry; sets of other plugins
    are left to their own viewers.
    """

    _name = "explore latent space and maps"
    _targets = [SetOfParticlesFlex, SetOfVolumesFlex, SetOfClasses3D]

    @classmethod
    def can_handle_this_instance(cls, instance):
        """Whether the set carries latents of ours."""
        flexible = _flexible(instance)
        return hasattr(flexible, "getFlexInfo") and flexible.getFlexInfo().getProgName() == PROGRAM_NAME

    def _visualize(self, obj, **kwargs):
        maker = self._maker(obj)
        if maker is None:
            return [self.errorMessage("The protocol that found these latents is gone.", "There is nothing to show")]
        return HetExplorerViewer(project=self.getProject(), protocol=maker, parent=self.formWindow)._visualize(maker)

    def _maker(self, obj):
        """The protocol to explore: the one that gave the set, or that whose run its particles name."""
        able = [run for run in self.getProject().getRuns() if isinstance(run, tuple(HetExplorerViewer._targets))]
        folder = trained_run(_flexible(obj))
        makers = [run for run in able if run.getObjId() == obj.getObjParentId()]
        return next(iter([*makers, *(run for run in able if run.getRunFolder() == folder)]), None)


def _flexible(instance):
    """The set that says whose latents these are: of classes the particles in them."""
    return instance.getImages() if isinstance(instance, SetOfClasses3D) else instance
