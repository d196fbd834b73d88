"""The viewer of a validation: its page, in the browser."""

import webbrowser
from pathlib import Path

from pyworkflow.viewer import Viewer

from ..engine.errors import EngineError
from ..protocols import ProtHetValidate


class HetValidationViewer(Viewer):
    """The page that says what the training is worth."""

    _name = "read the page"
    _targets = [ProtHetValidate]

    def _visualize(self, obj, **kwargs):
        try:
            page = Path((self.protocol if self.protocol is not None else obj).getPage())
        except EngineError as error:
            return [self.errorMessage(str(error), "There is nothing to show yet")]
        if not webbrowser.open(page.absolute().as_uri()):
            return [self.errorMessage(f"No browser could be started; the page is {page}.", "The page")]
        return []
