"""The viewer of trainings, searches and all that looks at a run: the explorer."""

import os
from functools import partial

from pwem.objects import SetOfClasses3D, SetOfParticlesFlex, SetOfVolumesFlex
from pyworkflow.protocol import Protocol
from pyworkflow.viewer import Viewer

from ..constants import PROGRAM_NAME
from ..engine.errors import DataError, EngineError
from ..engine.run import Run
from ..protocols import (
    ProtHetAbInitio,
    ProtHetAnalyze,
    ProtHetAtoms,
    ProtHetImport,
    ProtHetLandscape,
    ProtHetSelect,
    ProtHetStates,
    ProtHetTrain,
    ProtHetTrajectory,
)
from ..protocols.trained import trained_run


class HetExplorerViewer(Viewer):
    """Latent space, maps, resolution, training curves and figures in one window; of a training that goes on, how it
    stands."""

    _name = "explore latent space and maps"
    _targets = [
        *(ProtHetTrain, ProtHetAbInitio, ProtHetAnalyze, ProtHetImport),
        *(ProtHetLandscape, ProtHetTrajectory, ProtHetStates, ProtHetAtoms, ProtHetSelect),
        *(SetOfParticlesFlex, SetOfVolumesFlex, SetOfClasses3D),
    ]

    @classmethod
    def can_handle_this_instance(cls, instance):
        """Of sets, those that came from this plugin."""
        if isinstance(instance, Protocol):
            return True
        if isinstance(instance, SetOfClasses3D):
            return trained_run(instance.getImages()) is not None
        return instance.getFlexInfo().getProgName() == PROGRAM_NAME

    def _visualize(self, obj, **kwargs):
        protocol = self._maker_of(obj)
        try:
            window = self.live_window(protocol) if self._goes_on(protocol) else self.open_window(protocol)
        except EngineError as error:
            return [self.errorMessage(str(error), "There is nothing to show yet")]
        window.show(center=False)
        return []

    def open_window(self, protocol):
        """The explorer's window over a protocol's run, not yet shown; what the protocol itself has made comes first.

        The window is empty and reads what it shows by itself. Raises DataError where there is no run.
        """
        from .content import MODEL
        from .explorer import ExplorerWindow

        run = Run.open(self._run_folder(protocol))
        title = self._title(protocol)
        load = partial(self._load, protocol, run, title, getattr(protocol, "getMaps", list)())
        first = MODEL if protocol.getClassName() == ProtHetAtoms.__name__ else ""
        return ExplorerWindow(title, load, first, masterWindow=self.formWindow)

    def _maker_of(self, obj):
        """The protocol itself, or the one that a set came from."""
        if isinstance(obj, Protocol):
            return obj
        return self.protocol or self.getProject().getProtocol(obj.getObjParentId())

    @staticmethod
    def _run_folder(protocol) -> str:
        """Of the plugin's own protocols, or of the particles that another has passed on. Raises DataError."""
        if hasattr(protocol, "getRunFolder"):
            return protocol.getRunFolder()
        folders = [trained_run(output) for _, output in protocol.iterOutputAttributes()]
        folder = next((folder for folder in folders if folder is not None), None)
        if folder is None:
            raise DataError(f"{protocol.getRunName()} has no particles of a training of this plugin.")
        return folder

    def _load(self, protocol, run, title, maps, tell):
        """The content of the window; called in a thread."""
        from .drawn_mask import keep_mask
        from .handover import Handover
        from .load import content_of, entries_of

        content = content_of(run, title, entries_of(maps), first=getattr(protocol, "MAKES", ""), tell=tell)
        content.keep_mask = partial(keep_mask, self.getProject())
        content.pictures += getattr(protocol, "getPictures", list)()
        content.handover = Handover(self.getProject(), protocol, self.formWindow)
        return content

    def live_window(self, protocol):
        """The window over a training that goes on, not yet shown."""
        from .live_window import LiveWindow

        project = self.getProject()
        particles = protocol.inputParticles.get()

        def works() -> bool:
            if protocol.isActive():
                project._updateProtocol(protocol)
            return protocol.isActive()

        return LiveWindow(
            Run.open(protocol.getRunFolder()),
            self._title(protocol),
            particles.getXDim() * particles.getSamplingRate(),
            works,
            stop=partial(project.stopProtocol, protocol),
            explore=lambda: self.open_window(protocol).show(center=False),
            masterWindow=self.formWindow,
        )

    @staticmethod
    def _goes_on(protocol) -> bool:
        return isinstance(protocol, ProtHetTrain) and protocol.isActive() and os.path.isdir(protocol.getRunFolder())

    def _title(self, protocol) -> str:
        return f"{protocol.getRunName()}: {os.path.basename(self.getProject().path)}"
