"""Preflight: whether particles are what they say, before hours are spent on them."""

import json

from pyworkflow import BETA
from pyworkflow.protocol import params
from pyworkflow.utils import Message

from ..engine.options import PreflightOptions, as_flags
from ..engine.results import Results
from . import outputs
from .form_settings import FormSetting, chosen
from .protocol_base import ProtHetBase

OPTIONS = (
    FormSetting("particles", "particles", "Images to look at", PreflightOptions),
    FormSetting("box", "box", "Box (px)", PreflightOptions),
    FormSetting("tested", "tested", "Images for trials", PreflightOptions, expert=True),
    FormSetting("seed", "seed", "Random seed", PreflightOptions, expert=True),
)
MARKS = {"ok": "", "warn": "*Warning:* ", "stop": "*Stop:* "}


class ProtHetPreflight(ProtHetBase):
    """Look at some of the particles for seconds and say in plain words what is wrong with them, if anything is.

    Unusable and repeated images, black or white protein, what was done about the CTF, and whether orientations, CTF and
    pixel size belong to the images: a map of half of them must explain the other half better than wrong ones would.
    """

    _label = "preflight"
    _possibleOutputs = outputs.PREFLIGHT_OUTPUTS
    _devStatus = BETA

    # --------------------------- DEFINE param functions ----------------------
    def _defineParams(self, form):
        form.addSection(label=Message.LABEL_INPUT)
        form.addParam(
            "inputParticles", params.PointerParam, pointerClass="SetOfParticles", important=True,
            label="Input particles",
            help="Any particles. With orientations and CTF all is tested; without them, what can be.",
        )  # fmt: skip
        for option in OPTIONS:
            option.add_to(form)
        self._addThreads(form)

    # --------------------------- INSERT steps functions ----------------------
    def _insertAllSteps(self):
        particles = self.inputParticles.get()
        source = f"{particles.getObjId()} {particles.getSize()}"
        options = json.dumps(chosen(self, OPTIONS), sort_keys=True)
        self._insertFunctionStep(self.convertInputStep, source, needsGPU=False)
        self._insertFunctionStep(self.preflightStep, source, options, needsGPU=False)
        self._insertFunctionStep(self.createOutputStep, source, options, needsGPU=False)

    # --------------------------- STEPS functions -----------------------------
    def convertInputStep(self, source: str):
        """Write the particles as a star file."""
        from ..convert import write_particles_star

        write_particles_star(self.inputParticles.get(), self._starFile(), stack=self._getExtraPath("particles.mrcs"))

    def preflightStep(self, source: str, options: str):
        """Let the engine judge them."""
        flags = as_flags(json.loads(options), PreflightOptions)
        self.runEngine("preflight", self._starFile(), "--out", self._getExtraPath(), *flags)

    def createOutputStep(self, source: str, options: str):
        """The map of the images looked at, where orientations allow one."""
        from ..convert import volume_object

        preflight = self._findings()
        if preflight.file("map"):
            halves = [str(preflight.file(role)) for role in ("half1", "half2")]
            volume = volume_object(str(preflight.file("map")), half_maps=halves)
            self._give(outputs.VOLUME, volume, self.inputParticles)

    # --------------------------- INFO functions ------------------------------
    def _validate(self):
        return self._settingErrors(lambda: PreflightOptions(**chosen(self, OPTIONS)))

    def _summary(self):
        if not self.isFinished():
            return ["The particles have not been looked at yet."]
        return [f"{MARKS[check['level']]}{check['sentence']}" for check in self._findings().index["checks"]]

    def _methods(self):
        return []

    def _citations(self):
        return ["Kimanius2022"]

    # --------------------------- UTILS functions -----------------------------
    def getPage(self) -> str:
        """The picture of the verdicts, relative to the project."""
        return str(self._findings().file("page"))

    def _findings(self) -> Results:
        return Results.open(self._getExtraPath(), "preflight")

    def _starFile(self) -> str:
        return self._getExtraPath("particles.star")
