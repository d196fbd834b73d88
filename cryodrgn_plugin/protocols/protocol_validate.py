"""Whether what a training shows is real: halves trained alone, a test against chance, leaks, populations."""

from functools import partial
from typing import Any

from pyworkflow import BETA
from pyworkflow.protocol import params

from ..engine.options import ValidateOptions, as_flags
from ..engine.results import Results
from . import outputs
from .form_settings import FormSetting
from .protocol_base import addGroup
from .protocol_run import ProtHetOnRun
from .trained import trained_run

_setting = partial(FormSetting, source=ValidateOptions)


HALVES = (
    _setting("halves", "halves", "Train on halves"),
    _setting("particles", "particles", "Particles for both halves", condition="halves"),
    _setting("nodes", "nodes", "Points per half", condition="halves", expert=True),
    _setting("keepHalves", "keep_halves", "Keep the runs of the halves", condition="halves", expert=True),
)
TESTS = (
    _setting("significance", "significance", "Significance"),
    _setting("permutations", "permutations", "Permutations", expert=True),
    _setting("tested", "tested", "Particles tested", expert=True),
)
POPULATIONS = (
    _setting("states", "states", "States"),
    _setting("level", "level", "Confidence level"),
    _setting("bootstrap", "bootstrap", "Resamplings", expert=True),
)
SEED = _setting("seed", "seed", "Random seed", expert=True)
OPTIONS = (*HALVES, *TESTS, *POPULATIONS, SEED)


class ProtHetValidate(ProtHetOnRun):
    """Ask whether what a training shows is real, and how sure it is of each particle.

    The training is repeated on two halves of the particles that share no image. The states of one half must explain the
    images of the other better than chance, and both must place each particle alike. One page says so in plain words.
    """

    _label = "validate"
    _possibleOutputs = outputs.VALIDATE_OUTPUTS
    _devStatus = BETA
    COMMAND, OPTIONS_OF, OPTIONS, MAKES = "validate", ValidateOptions, OPTIONS, "validation"

    # --------------------------- DEFINE param functions ----------------------
    def _defineParams(self, form):
        self._addTrained(form)
        form.addParam(
            "alsoParticles", params.MultiPointerParam, pointerClass="SetOfParticlesFlex", allowsNull=True,
            minNumObjects=0, label="Other trainings",
            help="Trainings of the same particles with another seed, recipe or number of dimensions: whether they "
                 "agree is told as well.",
        )  # fmt: skip
        addGroup(form, "Halves", HALVES)
        addGroup(form, "Tests", TESTS)
        addGroup(form, "Populations", POPULATIONS)
        SEED.add_to(form)
        self._addThreads(form)

    # --------------------------- STEPS functions -----------------------------
    def createOutputStep(self, source: str, options: str):
        """The particles with the confidence of each."""
        self._flexOutput(outputs.PARTICLES)

    # --------------------------- INFO functions ------------------------------
    def _validate(self):
        if any(trained_run(pointer.get()) is None for pointer in self.alsoParticles):
            return ["One of the other trainings is none of this plugin; choose outputs of train heterogeneity."]
        return super()._validate()

    def _summary(self):
        if not self.isFinished():
            return ["The validation has not finished."]
        verdict = self._findings().index["verdict"]
        return [f"*{verdict['headline']}*", *verdict["sentences"], f"The page is {self.getPage()}."]

    def _methods(self):
        if not self.isFinished():
            return []
        tested = self._findings().index.get("heterogeneity")
        test = f"; heterogeneity was tested by permutation (p = {tested['p_value']:.2g})" if tested else ""
        return [f"The training was validated on halves of the particles{test}."] if self.halves else []

    def _citations(self):
        return ["Kimanius2022", "Zhong2021"]

    # --------------------------- UTILS functions -----------------------------
    def _flags(self, options: dict[str, Any]) -> list[str]:
        others = [run for run in (trained_run(pointer.get()) for pointer in self.alsoParticles) if run]
        return [*as_flags(options, ValidateOptions), "--resume", *(["--also", *others] if others else [])]

    def getPage(self) -> str:
        """The page of the verdict, relative to the project."""
        return str(self._findings().file("page"))

    def _findings(self) -> Results:
        return self._ownRun().results("validation")
