"""The wizard beside *Rule*: the columns that a rule may name, with their range."""

import numpy as np
from pyworkflow.gui.dialog import showError
from pyworkflow.wizard import Wizard

from ..engine.errors import EngineError
from ..engine.run import Run
from ..protocols import ProtHetSelect
from ..protocols.trained import trained_run
from .table_dialog import Column, TableDialog

TITLE = "Columns for a rule"
COLUMNS = (Column("Column", 190, "w"), Column("from"), Column("median"), Column("to"))
MESSAGE = (
    "The chosen column is added to the rule, above its median at first; change sign and number as you like, and join "
    "conditions with and, or, not."
)


class HetRuleWizard(Wizard):
    """Add a condition on a column to the rule."""

    _targets = [(ProtHetSelect, ["rule"])]

    def show(self, form, *params):
        folder = trained_run(form.protocol.inputParticles.get())
        try:
            columns = columns_of(Run.open(folder)) if folder else {}
        except EngineError as error:
            showError(TITLE, str(error), form.root)
            return
        if not columns:
            showError(TITLE, "Choose trained particles first.", form.root)
            return
        summaries = {name: (values.min(), np.median(values), values.max()) for name, values in columns.items()}
        rows = [(name, *(f"{value:.4g}" for value in summary)) for name, summary in summaries.items()]
        dialog = TableDialog(form.root, TITLE, MESSAGE, COLUMNS, rows)
        if dialog.resultYes() and dialog.row is not None:
            name, _, median, _ = rows[dialog.row]
            before = (form.protocol.rule.get() or "").strip()
            form.setVar("rule", f"{before} and {name} > {median}" if before else f"{name} > {median}")


def columns_of(run: Run) -> dict[str, np.ndarray]:
    """Name to (N,) numbers: what was found of the particles, then the numbers of their star file."""
    from ..engine.selection.columns import JUDGED, known_columns

    columns = known_columns(run)
    there = {name: np.asarray(columns[name]) for name in columns if name not in JUDGED}
    return {name: values for name, values in there.items() if values.dtype.kind in "iuf" and np.isfinite(values).all()}
