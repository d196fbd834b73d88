"""The wizard beside ids of particles: the centres of classes, one or several."""

from pyworkflow.gui.dialog import ListDialog, showError
from pyworkflow.gui.tree import ListTreeProviderString
from pyworkflow.object import String
from pyworkflow.wizard import Wizard

from ..engine.errors import EngineError
from ..engine.run import Run
from ..protocols import ProtHetStates, ProtHetTrajectory
from ..protocols.trained import trained_run

TITLE = "Centres of classes"
PARAMETER = {ProtHetTrajectory: "anchors", ProtHetStates: "particleIds"}
"""The form parameter that takes the ids."""


class HetCentresWizard(Wizard):
    """Take particles at the centres of classes, in the order of the list."""

    _targets = [(protocol, [name]) for protocol, name in PARAMETER.items()]

    def show(self, form, *params):
        from .centres import class_centres

        folder = trained_run(form.protocol.inputParticles.get())
        try:
            centres = class_centres(Run.open(folder)) if folder else []
        except EngineError as error:
            showError(TITLE, str(error), form.root)
            return
        if not centres:
            showError(TITLE, "Choose trained particles that analyze or landscape has looked at first.", form.root)
            return
        words = [String(centre.label) for centre in centres]
        message = "Choose one or more (Ctrl or Shift and click); they are taken in the order of this list."
        dialog = ListDialog(form.root, TITLE, ListTreeProviderString(words), message)
        if dialog.resultYes():
            chosen = {value.get() for value in dialog.values}
            ids = [str(centre.object_id) for centre in centres if centre.label in chosen]
            form.setVar(PARAMETER[type(form.protocol)], ", ".join(ids))
