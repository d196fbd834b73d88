"""The wizard beside *Number of classes*: what each number would make of the particles."""

from pyworkflow.gui.dialog import showError
from pyworkflow.wizard import Wizard

from ..engine.errors import EngineError
from ..engine.run import Run
from ..protocols import ProtHetAnalyze
from ..protocols.trained import trained_run
from .table_dialog import Column, TableDialog

TITLE = "Number of classes"
COLUMNS = (Column("Classes"), Column("Spread between them", 180), Column("Smallest class", 150))
MESSAGE = (
    "More classes always explain more of the spread; take a number after which little is gained, and whose smallest "
    "class has particles enough for a map. 0 lets the training say: separate states where it has found some."
)


class HetClassesWizard(Wizard):
    """Choose the number of classes from a table."""

    _targets = [(ProtHetAnalyze, ["clusters"])]

    def show(self, form, *params):
        from .class_counts import class_counts

        folder = trained_run(form.protocol.inputParticles.get())
        try:
            counts = class_counts(Run.open(folder).latents().z) if folder else []
        except EngineError as error:
            showError(TITLE, str(error), form.root)
            return
        if not counts:
            showError(TITLE, "Choose trained particles first.", form.root)
            return
        rows = [(str(item.count), f"{item.explained:.0%}", f"{item.smallest:.1%}") for item in counts]
        current = form.protocol.clusters.get()
        first = next((k for k, item in enumerate(counts) if item.count == current), 0)
        dialog = TableDialog(form.root, TITLE, MESSAGE, COLUMNS, rows, first)
        if dialog.resultYes() and dialog.row is not None:
            form.setVar("clusters", counts[dialog.row].count)
