"""The viewer of refined poses: how far halves of their map agree, by direction too, and which views there are."""

from pyworkflow.viewer import Viewer

from ..engine.errors import DataError, EngineError
from ..protocols import ProtHetRefinePoses


class HetRefinementViewer(Viewer):
    """Fourier shell correlation of the map that the poses make, resolution by direction, and the views."""

    _name = "see resolution and views"
    _targets = [ProtHetRefinePoses]

    def _visualize(self, obj, **kwargs):
        try:
            window = self.open_window(self.protocol if self.protocol is not None else obj)
        except EngineError:
            return [self.errorMessage("The poses are not refined yet.", "There is nothing to show yet")]
        window.show(center=False)
        return []

    def open_window(self, protocol):
        """The window with the figures, not yet shown. Raises DataError before there are any."""
        from .picture_window import PictureWindow

        pictures = protocol.getPictures()
        if not pictures:
            raise DataError("The poses are not refined yet.")
        return PictureWindow(protocol.getRunName(), pictures, masterWindow=self.formWindow)
