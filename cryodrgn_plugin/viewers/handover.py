"""What was chosen in the explorer, handed to protocols of the project: the form opens with everything filled in."""

import re
import time
from pathlib import Path
from typing import Any

from pyworkflow.project import Project

from ..engine.selection.listed import write_listed
from ..protocols import ProtHetSelect, ProtHetStates, ProtHetTrajectory, outputs
from ..protocols.trained import trained_run

FOLDER = "Selections"
"""Of the project; lists stay there, for runs refer to them."""


class Handover:
    """Starts protocols on the trained particles of a protocol.

    Parameters
    ----------
    project : takes the new protocols.
    protocol : the one that is looked at; its own particles are handed on, or those that it was given.
    window : of the project, whose forms are opened; None saves the protocol in the project alone.
    """

    def __init__(self, project: Project, protocol: Any, window: Any = None) -> None:
        self._project, self._protocol = project, protocol
        self._view = getattr(window, "viewWidget", None)

    def subset(self, rows, name: str) -> str:
        """A protocol that makes a set of the particles at star rows (M,); returns what is to be said of it."""
        word = re.sub(r"[^\w-]+", "_", name)[:40] or "selection"
        file = Path(self._project.path) / FOLDER / f"{word}_{time.strftime('%Y%m%d_%H%M%S')}.txt"
        file.parent.mkdir(exist_ok=True)
        write_listed(file, rows)
        return self._begin(ProtHetSelect, name, listed=str(file.relative_to(self._project.path)))

    def trajectory(self, ids: list[int]) -> str:
        """A protocol that walks from particle to particle, named by their ids."""
        words = ", ".join(map(str, ids))
        return self._begin(ProtHetTrajectory, f"between {words}", anchors=words)

    def states(self, ids: list[int]) -> str:
        """A protocol that makes maps at particles, named by their ids."""
        words = ", ".join(map(str, ids))
        return self._begin(ProtHetStates, f"at {words}", particleIds=words)

    def _begin(self, kind: type, label: str, **values: Any) -> str:
        protocol = self._project.newProtocol(kind, **values)
        protocol.setObjLabel(f"{kind._label}: {label}")
        source, output = self._particles()
        protocol.inputParticles.set(source)
        protocol.inputParticles.setExtended(output)
        if self._view is None:
            self._project.saveProtocol(protocol)
            return f"The project has {protocol.getObjLabel()}, filled in and not yet run: open it there."
        open_form(self._view, protocol)
        return f"The form of {protocol.getObjLabel()} is open: press Execute there."

    def _particles(self) -> tuple[Any, str]:
        """The protocol and the name of its output that has the trained particles."""
        given = sorted(self._protocol.iterOutputAttributes(), key=lambda item: item[0] != outputs.PARTICLES)
        for name, output in given:
            if trained_run(output) is not None:
                return self._protocol, name
        given = self._protocol.inputParticles
        return given.getObjValue(), given.getExtended()


def open_form(view: Any, protocol: Any) -> Any:
    """Open the form of a protocol over the project's window; returns the form."""
    from pyworkflow.gui.form import FormWindow

    form = FormWindow(
        f"Protocol run: {protocol.getClassLabel()}", protocol, view._executeSaveProtocol, view.window,
        updateProtocolCallback=view._updateProtocol, disableRunMode=True,
    )  # fmt: skip
    form.adjustSize()
    form.root.deiconify()
    form.root.lift()
    return form
