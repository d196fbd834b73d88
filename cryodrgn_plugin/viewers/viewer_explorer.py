"""The viewer of trainings, searches and all that looks at a run: the explorer."""

import os

from pyworkflow.viewer import Viewer

from ..engine.errors import EngineError
from ..engine.run import Run
from ..protocols import (
    ProtHetAbInitio,
    ProtHetAnalyze,
    ProtHetLandscape,
    ProtHetSelect,
    ProtHetStates,
    ProtHetTrain,
    ProtHetTrajectory,
)


class HetExplorerViewer(Viewer):
    """Latent space, maps, resolution, training curves and figures in one window."""

    _name = "explore latent space and maps"
    _targets = [
        *(ProtHetTrain, ProtHetAbInitio, ProtHetAnalyze),
        *(ProtHetLandscape, ProtHetTrajectory, ProtHetStates, ProtHetSelect),
    ]

    def _visualize(self, obj, **kwargs):
        try:
            window = self.open_window(self.protocol if self.protocol is not None else obj)
        except EngineError as error:
            return [self.errorMessage(str(error), "There is nothing to show yet")]
        window.show(center=False)
        return []

    def open_window(self, protocol):
        """The explorer's window over a protocol's run, not yet shown; what the protocol itself has made comes first."""
        from .explorer import ExplorerWindow
        from .load import content_of, entries_of

        run = Run.open(protocol.getRunFolder())
        title = f"{protocol.getRunName()}: {os.path.basename(self.getProject().path)}"
        content = content_of(run, title, entries_of(protocol.getMaps()), first=getattr(protocol, "MAKES", ""))
        return ExplorerWindow(content, masterWindow=self.formWindow)
