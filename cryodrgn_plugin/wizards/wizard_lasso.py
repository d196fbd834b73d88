"""The wizard beside *Drawing*: a line drawn around particles in the picture of the latent space."""

import json
import time
from pathlib import Path

from pyworkflow.gui.dialog import showError
from pyworkflow.wizard import Wizard

from ..engine.errors import DataError, EngineError
from ..engine.run import Run
from ..protocols import ProtHetSelect
from ..protocols.trained import trained_run

FOLDER = "Lassos"
"""Of the project; drawings stay there, for the run refers to them."""


class HetLassoWizard(Wizard):
    """Draw a line around particles and take those inside."""

    _targets = [(ProtHetSelect, ["lasso"])]

    def show(self, form, *params):
        from .lasso_dialog import LassoDialog, pictures_of

        folder = trained_run(form.protocol.inputParticles.get())
        try:
            if folder is None:
                raise DataError("Choose trained particles that analyze has looked at first.")
            pictures = pictures_of(Run.open(folder))
        except EngineError as error:
            showError("Draw around particles", str(error), form.root)
            return
        dialog = LassoDialog(form.root, pictures)
        if dialog.resultYes() and dialog.corners is not None:
            project = Path(form.protocol.getProject().path)
            file = project / FOLDER / f"lasso_{time.strftime('%Y%m%d_%H%M%S')}.json"
            file.parent.mkdir(exist_ok=True)
            file.write_text(json.dumps({"space": dialog.space, "polygon": dialog.corners.tolist()}), encoding="utf-8")
            form.setVar("lasso", str(file.relative_to(project)))
