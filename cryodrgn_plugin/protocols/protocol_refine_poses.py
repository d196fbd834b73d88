"""Refinement of poses that are nearly right: particles with orientations in, with better ones and a map out."""

import json
from pathlib import Path

from pwem.objects import SetOfParticles
from pyworkflow import BETA
from pyworkflow.protocol import params
from pyworkflow.utils import Message

from ..engine.options import RefineOptions, as_flags
from . import outputs
from .form_settings import RECIPES, FormSetting, as_arguments, chosen
from .protocol_base import addGroup
from .protocol_fit import IMAGE_SETTINGS, ProtHetFit, image_settings
from .trained import trained_run

IMAGES = image_settings(RECIPES)
REFINEMENT = (
    FormSetting("rounds", "rounds", "Rounds", RefineOptions),
    FormSetting("maxAngle", "max_angle_deg", "Largest turn (degrees)", RefineOptions),
    FormSetting("maxShift", "max_shift_ang", "Largest move (Å)", RefineOptions),
    FormSetting("steps", "steps", "Steps per frequency limit", RefineOptions, expert=True),
)
SEED = FormSetting("seed", "seed", "Random seed", expert=True)
SETTINGS = (*IMAGES, SEED)


class ProtHetRefinePoses(ProtHetFit):
    """Improve orientations that are nearly right, each particle by itself.

    Every particle climbs its own likelihood by small turns and shifts, within bounds, against maps of the half of the
    particles that it is not in. Particles that *train heterogeneity* or *ab initio maps* gave are compared with the
    molecule as it is in each of them.
    """

    _label = "refine poses"
    _possibleOutputs = outputs.REFINE_OUTPUTS
    _devStatus = BETA
    SETTINGS = SETTINGS

    # --------------------------- DEFINE param functions ----------------------
    def _defineParams(self, form):
        form.addSection(label=Message.LABEL_INPUT)
        form.addParam(
            "inputParticles", params.PointerParam, pointerClass="SetOfParticles", pointerCondition="hasAlignmentProj",
            important=True, label="Input particles", help="Particles with orientations and CTF.",
        )  # fmt: skip
        form.addParam(
            "followLatents", params.BooleanParam, default=True, label="Follow the latent coordinates",
            help="Where the particles come from a training of this plugin, compare each with the molecule as it is in "
                 "that particle. Without latent coordinates, or with *No*, all are compared with one map.",
        )  # fmt: skip
        addGroup(form, "Refinement", REFINEMENT)
        addGroup(form, "Images", IMAGES)
        SEED.add_to(form)
        self._addThreads(form)

    # --------------------------- INSERT steps functions ----------------------
    def _insertAllSteps(self):
        depends_on = (f"{self._inputKey()} {self._trainedRun()}", json.dumps(self._arguments()))
        self._insertFunctionStep(self.convertInputStep, depends_on[0], needsGPU=False)
        self._insertFunctionStep(self.refineStep, *depends_on, needsGPU=False)
        self._insertFunctionStep(self.createOutputStep, *depends_on, needsGPU=False)

    # --------------------------- STEPS functions -----------------------------
    def refineStep(self, source: str, arguments: str):
        """Let the engine refine the poses."""
        subject = self._trainedRun() or self._starFile()
        self.runEngine("refine-poses", subject, "--out", self._consensusPath(), "--resume", *json.loads(arguments))

    def createOutputStep(self, source: str, arguments: str):
        """The particles with their refined poses, and the map that these make."""
        from ..convert import posed_particles

        particles = self.inputParticles.get()
        posed = SetOfParticles.create(self._getPath())
        posed.copyInfo(particles)
        for particle in posed_particles(particles, self._consensusPath("poses.star")):
            posed.append(particle)
        self._give(outputs.PARTICLES, posed, self.inputParticles)
        self._give(outputs.VOLUME, self._consensusVolume(), self.inputParticles)

    # --------------------------- INFO functions ------------------------------
    def _validate(self):
        errors = self._inputErrors() + self._settingErrors(lambda: RefineOptions(**chosen(self, REFINEMENT)))
        if not self.inputParticles.get().hasAlignmentProj():
            errors.append("The particles have no orientations; find them with ab initio maps first.")
        return errors

    def _warnings(self):
        return []

    def _summary(self):
        if not self.isFinished():
            return ["The poses are not refined yet."]
        summary = json.loads(Path(self._consensusPath("refinement.json")).read_text())
        last, resolution = summary["rounds"][-1], summary["resolution_ang"]
        return [
            (
                f"{summary['particles']:,} particles, {len(summary['rounds'])} rounds; the last turned a typical "
                f"particle by {last['median_turn_deg']:.2f}° and moved it by {last['median_move_ang']:.2f} Å."
            ),
            (
                f"The halves of the map agree up to {resolution['after']:.1f} Å (FSC 0.143), before up to "
                f"{resolution['before']:.1f} Å."
            ),
        ]

    def _methods(self):
        if not self.isFinished():
            return []
        return ["Orientations and shifts were refined per particle by gradient, against half-maps."]

    def _citations(self):
        return ["Kimanius2022"]

    # --------------------------- UTILS functions -----------------------------
    def _arguments(self) -> list[str]:
        """The options of the command line that the form gives."""
        flags = as_flags(chosen(self, REFINEMENT), RefineOptions)
        return flags + as_arguments({name: v for name, v in self._overrides().items() if name in IMAGE_SETTINGS})

    def _recipe(self) -> str:
        return "homogeneous"

    def _typed(self) -> dict[str, str]:
        return {}

    def _trainedRun(self) -> str | None:
        """Folder of the run whose latent coordinates are followed, relative to the project."""
        return trained_run(self.inputParticles.get()) if self.followLatents else None
