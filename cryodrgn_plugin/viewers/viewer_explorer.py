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
    ProtHetImport,
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
        *(ProtHetTrain, ProtHetAbInitio, ProtHetAnalyze, ProtHetImport),
        *(ProtHetLandscape, ProtHetTrajectory, ProtHetStates, ProtHetAtoms, ProtHetSelect),
    ]

    def _visualize(self, obj, **kwargs):
        try:
            window = self.open_window(self.protocol if self.protocol is not None else obj)
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

        run = Run.open(protocol.getRunFolder())
        title = f"{protocol.getRunName()}: {os.path.basename(self.getProject().path)}"
        load = partial(self._load, protocol, run, title, protocol.getMaps())
        first = MODEL if protocol.getClassName() == ProtHetAtoms.__name__ else ""
        return ExplorerWindow(title, load, first, masterWindow=self.formWindow)

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
