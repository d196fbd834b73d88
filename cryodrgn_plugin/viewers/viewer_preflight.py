"""The viewer of a preflight: its page."""

from pyworkflow.viewer import Viewer

from ..engine.errors import EngineError
from ..protocols import ProtHetPreflight


class HetPreflightViewer(Viewer):
    """The verdicts and the pictures they were read from, on one page."""

    _name = "read the verdicts"
    _targets = [ProtHetPreflight]

    def _visualize(self, obj, **kwargs):
        try:
            window = self.open_window(self.protocol if self.protocol is not None else obj)
        except EngineError:
            return [self.errorMessage("The particles have not been looked at yet.", "There is nothing to show yet")]
        window.show(center=False)
        return []

    def open_window(self, protocol):
        """The window with the page, not yet shown."""
        from .picture_window import PictureWindow

        return PictureWindow(protocol.getRunName(), [("page", protocol.getPage())], masterWindow=self.formWindow)
