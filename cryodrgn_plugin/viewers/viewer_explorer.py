"""The viewer of trainings, searches and all that looks at a run: the explorer."""

import os
from functools import partial

from pyworkflow.viewer import Viewer

from ..engine.errors import EngineError
from ..engine.run import Run
from ..protocols import (
    ProtHetAbInitio,
    ProtHetAnalyze,
    ProtHetAtoms,
    ProtHetLandscape,
    ProtHetSelect,
    ProtHetStates,
    ProtHetTrain,
    ProtHetTrajectory,
)


class HetExplorerViewer(Viewer):
    """Latent space, maps, resolution, training curves and figures in one window; of a training that goes on, how it
    stands."""

    _name = "explore latent space and maps"
    _targets = [
        *(ProtHetTrain, ProtHetAbInitio, ProtHetAnalyze),
        *(ProtHetLandscape, ProtHetTrajectory, ProtHetStates, ProtHetAtoms, ProtHetSelect),
    ]

    def _visualize(self, obj, **kwargs):
        protocol = self.protocol if self.protocol is not None else obj
        try:
            window = self.live_window(protocol) if self._goes_on(protocol) else self.open_window(protocol)
        except EngineError as error:
            return [self.errorMessage(str(error), "There is nothing to show yet")]
        window.show(center=False)
        return []

    def open_window(self, protocol):
        """The explorer's window over a protocol's run, not yet shown; what the protocol itself has made comes first."""
        from .drawn_mask import keep_mask
        from .explorer import ExplorerWindow
        from .load import content_of, entries_of

        run = Run.open(protocol.getRunFolder())
        content = content_of(
            run, self._title(protocol), entries_of(protocol.getMaps()), first=getattr(protocol, "MAKES", "")
        )
        content.keep_mask = partial(keep_mask, self.getProject())
        window = ExplorerWindow(content, masterWindow=self.formWindow)
        if content.atoms is not None and protocol.getClassName() == ProtHetAtoms.__name__:
            window.tabs.select(window.atoms)
        return window

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
