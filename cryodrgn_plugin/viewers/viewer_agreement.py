"""The viewer of what searches for species agree on: their maps side by side."""

from pyworkflow.viewer import Viewer

from ..engine.errors import DataError, EngineError
from ..protocols import ProtHetAgreement


class HetAgreementViewer(Viewer):
    """The sheet: a row for each species, its map in every search, and on how many particles they agree."""

    _name = "see species side by side"
    _targets = [ProtHetAgreement]

    def _visualize(self, obj, **kwargs):
        try:
            window = self.open_window(self.protocol if self.protocol is not None else obj)
        except EngineError as error:
            return [self.errorMessage(str(error), "There is nothing to show yet")]
        window.show(center=False)
        return []

    def open_window(self, protocol):
        """The window with the sheet, not yet shown. Raises DataError where there is none."""
        from .picture_window import PictureWindow

        pictures = protocol.getPictures()
        if not pictures:
            raise DataError("The searches agree on no species.")
        return PictureWindow(protocol.getRunName(), pictures, masterWindow=self.formWindow)
