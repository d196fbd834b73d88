"""Particles of a training that go on: by class, by rule, by a drawing, without junk, or at random."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from pwem.objects import Particle, SetOfParticles
from pyworkflow import BETA
from pyworkflow.protocol import params

from ..engine.options import SelectOptions
from ..engine.results import Results
from . import outputs
from .form_settings import FormSetting
from .protocol_base import addGroup
from .protocol_run import ProtHetOnRun

_setting = partial(FormSetting, source=SelectOptions)


CHOICE = (
    _setting("clusters", "clusters", "Classes"),
    _setting("rule", "where", "Rule"),
)
JUNK = (
    _setting("junk", "junk", "Remove junk"),
    _setting("rounds", "rounds", "Rounds", condition="junk"),
    _setting("junkCut", "junk_cut", "Cut", condition="junk", expert=True),
)
REST = (
    _setting("once", "once", "One of each image"),
    _setting("random", "random", "Take at random"),
    _setting("invert", "invert", "Take the others"),
)
SEED = _setting("seed", "seed", "Random seed", expert=True)
OPTIONS = (*CHOICE, *JUNK, *REST, SEED)
NAME = "selected"
"""Of the selection's folder in our run."""


class ProtHetSelect(ProtHetOnRun):
    """Choose particles by what their training found, and give them to any protocol that takes particles.

    Choices are combined: a particle is taken when all of them take it. The same particles at full size come out as well
    when their set is given; they are matched by id.
    """

    _label = "select particles"
    _possibleOutputs = outputs.SELECT_OUTPUTS
    _devStatus = BETA
    COMMAND, OPTIONS_OF, OPTIONS, MAKES = "select", SelectOptions, OPTIONS, "selection"

    # --------------------------- DEFINE param functions ----------------------
    def _defineParams(self, form):
        self._addTrained(
            form, "Classes, UMAP and confidence can be chosen by when the particles come from *analyze* and *validate*."
        )
        form.addParam(
            "originalParticles", params.PointerParam, pointerClass="SetOfParticles", allowsNull=True,
            label="Particles at full size",
            help="The set that the trained particles were made from, say before downsampling: the same particles of it "
                 "are given too.",
        )  # fmt: skip
        addGroup(form, "Which particles", CHOICE)
        form.addParam(
            "lasso", params.FileParam, default="", label="Drawing",
            help="A polygon drawn around particles: draw one with the wizard, or give a file with "
                 '{"space": "umap", "polygon": [[x, y], ...]}.',
        )  # fmt: skip
        form.addParam(
            "listed", params.FileParam, default="", label="List of particles",
            help="What was selected in the explorer: a file with the particles' rows in the star file of the training, "
                 "from 0 and one per line.",
        )  # fmt: skip
        addGroup(form, "Junk", JUNK)
        addGroup(form, "What is left", REST)
        SEED.add_to(form)
        self._addThreads(form)

    # --------------------------- STEPS functions -----------------------------
    def createOutputStep(self, source: str, options: str):
        """The chosen particles, the others, and the chosen ones at full size."""
        from ..convert import selected_ids

        chosen = selected_ids(self._ownRun(), NAME)
        particles = self.inputParticles.get()
        self._flexOutput(outputs.PARTICLES, only=_among(particles, chosen))
        if any(particle.getObjId() not in chosen for particle in particles.iterItems()):
            self._flexOutput(outputs.REJECTED, only=_among(particles, chosen, inside=False), suffix="rejected")
        if self.originalParticles.get() is not None:
            self._originalOutput(chosen & {particle.getObjId() for particle in particles.iterItems()})

    def _originalOutput(self, chosen: set[int]) -> None:
        original = self.originalParticles.get()
        full = SetOfParticles.create(self._getPath(), suffix="original")
        full.copyInfo(original)
        for particle in _among(original, chosen):
            full.append(particle)
        self._give(outputs.ORIGINAL, full, self.originalParticles, self.inputParticles)

    # --------------------------- INFO functions ------------------------------
    def _summary(self):
        if not self.isFinished():
            return ["No particles have been chosen yet."]
        index = self._findings().index
        lines = [f"{index['selected']:,} of {index['particles']:,} particles of the training are selected."]
        lines += [f"{choice['what']}: takes {choice['takes']:,}." for choice in index["choices"]]
        return [*lines, f"The lists and a picture are in {self._findings().folder}."]

    def _methods(self):
        if not self.isFinished():
            return []
        index = self._findings().index
        reasons = "; ".join(choice["what"] for choice in index["choices"]) or "at random"
        return [f"{index['selected']:,} of {index['particles']:,} particles were selected ({reasons})."]

    def _citations(self):
        return ["Kimanius2022"]

    # --------------------------- UTILS functions -----------------------------
    def _options(self) -> dict[str, Any]:
        files = {name: getattr(self, name).get() or "" for name in ("lasso", "listed")}
        return {**super()._options(), "name": NAME, **files}

    def _findings(self) -> Results:
        return self._ownRun().results("selection", NAME)


def _among(particles: SetOfParticles, ids: set[int], inside: bool = True) -> Iterator[Particle]:
    """The particles whose id is among `ids`, or is not."""
    return (particle for particle in particles.iterItems() if (particle.getObjId() in ids) == inside)
