"""The viewer of a subtraction: what stays in the images and what is taken off them."""

from pyworkflow.viewer import Viewer

from ..engine.errors import EngineError
from ..protocols import ProtHetSubtract


class HetSubtractionViewer(Viewer):
    """The mean map on both sides of the mask, seen from three directions."""

    _name = "see what was taken off"
    _targets = [ProtHetSubtract]

    def _visualize(self, obj, **kwargs):
        try:
            window = self.open_window(self.protocol if self.protocol is not None else obj)
        except EngineError:
            return [self.errorMessage("No images have been subtracted yet.", "There is nothing to show yet")]
        window.show(center=False)
        return []

    def open_window(self, protocol):
        """The window with the views, not yet shown."""
        from .picture_window import PictureWindow

        return PictureWindow(protocol.getRunName(), protocol.getPictures(), masterWindow=self.formWindow)
