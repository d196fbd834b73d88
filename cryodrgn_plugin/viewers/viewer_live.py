"""The viewer of a training that has not finished."""

import os
from functools import partial

from pyworkflow.viewer import Viewer

from ..engine.errors import EngineError
from ..engine.run import Run
from ..protocols import ProtHetTrain
from .viewer_explorer import HetExplorerViewer


class HetActiveTrainingViewer(Viewer):
    """How a training stands, with the buttons that end it; once it has finished the explorer takes its place.

    Of several viewers of a protocol the host takes the first by name.
    """

    _name = "watch the training"
    _targets = [ProtHetTrain]

    @classmethod
    def can_handle_this_instance(cls, instance):
        return instance.isActive()

    def _visualize(self, obj, **kwargs):
        protocol = self.protocol if self.protocol is not None else obj
        try:
            window = self.open_window(protocol)
        except EngineError as error:
            return [self.errorMessage(str(error), "There is nothing to show yet")]
        window.show(center=False)
        return []

    def open_window(self, protocol):
        """The window over the training, not yet shown. Raises DataError before it has begun."""
        from .live_window import LiveWindow

        project = self.getProject()
        particles = protocol.inputParticles.get()

        def works() -> bool:
            if protocol.isActive():
                project._updateProtocol(protocol)
            return protocol.isActive()

        return LiveWindow(
            Run.open(protocol.getRunFolder()),
            f"{protocol.getRunName()}: {os.path.basename(project.path)}",
            particles.getXDim() * particles.getSamplingRate(),
            works,
            stop=partial(project.stopProtocol, protocol),
            explore=partial(self._explore, protocol),
            masterWindow=self.formWindow,
        )

    def _explore(self, protocol) -> None:
        HetExplorerViewer(project=self.getProject(), protocol=protocol, parent=self.formWindow).visualize(protocol)
