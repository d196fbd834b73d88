"""Particle images without what lies outside of a mask, for any protocol that takes particles."""

from functools import partial
from typing import Any

from pwem.objects import SetOfParticles
from pyworkflow import BETA
from pyworkflow.protocol import params

from ..engine.errors import ConfigError
from ..engine.options import SubtractOptions, as_flags
from ..engine.results import Results
from ..engine.run import Run
from . import outputs
from .form_settings import FormSetting
from .protocol_run import ProtHetOnRun

_setting = partial(FormSetting, source=SubtractOptions)


SPHERE = _setting("sphere", "mask", "Sphere")
MEAN = _setting("mean", "mean", "Subtract the mean map", expert=True)
OPTIONS = (SPHERE, MEAN)


class ProtHetSubtract(ProtHetOnRun):
    """Take off the images what the maps of their training show outside of a mask.

    Each image loses the projection of the map at its own latent coordinates, so that large motions outside go as well.
    What comes out is for a classification, a refinement of a small part, or another training. Subtract with a training
    that had no focus: it knows what moves outside.
    """

    _label = "subtract outside of a mask"
    _possibleOutputs = outputs.SUBTRACT_OUTPUTS
    _devStatus = BETA
    COMMAND, OPTIONS_OF, OPTIONS = "subtract", SubtractOptions, OPTIONS

    # --------------------------- DEFINE param functions ----------------------
    def _defineParams(self, form):
        self._addTrained(form)
        form.addParam(
            "inputMask", params.PointerParam, pointerClass="VolumeMask", allowsNull=True, label="Mask",
            help="What lies inside of it stays in the images. The mask has the box and pixel size of the particles, or "
                 "of the maps of their training. A sphere can be given instead; without either it is the focus of the "
                 "training.",
        )  # fmt: skip
        SPHERE.add_to(form)
        MEAN.add_to(form)
        self._addThreads(form)

    # --------------------------- STEPS functions -----------------------------
    def createOutputStep(self, source: str, options: str):
        """The particles as they were, with their new images."""
        from ..convert import with_images_of

        particles = self.inputParticles.get()
        subtracted = SetOfParticles.create(self._getPath())
        subtracted.copyInfo(particles)
        for particle in with_images_of(particles, str(self._findings().file("particles"))):
            subtracted.append(particle)
        self._give(outputs.PARTICLES, subtracted, self.inputParticles)

    # --------------------------- INFO functions ------------------------------
    def _validate(self):
        return super()._validate() or self._settingErrors(self._requireMask)

    def _summary(self):
        if not self.isFinished():
            return ["No images have been subtracted yet."]
        index = self._findings().index
        maps = "the mean map" if index["options"]["mean"] else "the map at its latent coordinates"
        return [
            (
                f"{index['particles']:,} images of {index['box']} px; each lost what {maps} shows outside of "
                f"{index['mask']}."
            ),
            f"{index['taken_off']:.1%} of the images' variance were taken off.",
            f"{self._findings().figures['views']} shows what stays and what is taken off.",
        ]

    def _methods(self):
        return ["The projections of the density outside of a mask were subtracted."] if self.isFinished() else []

    def _citations(self):
        return ["Kimanius2022"]

    # --------------------------- UTILS functions -----------------------------
    def _options(self) -> dict[str, Any]:
        """A mask beats a sphere."""
        mask = self.inputMask.get()
        return {**super()._options(), **({} if mask is None else {"mask": mask.getFileName()})}

    def _flags(self, options: dict[str, Any]) -> list[str]:
        return [*as_flags(options, SubtractOptions), "--out", self._folder()]

    def getPictures(self) -> list[tuple[str, str]]:
        """Name and file of each picture, relative to the project."""
        return [(name, str(file)) for name, file in self._findings().figures.items()]

    def _requireMask(self) -> None:
        if not self._options()["mask"] and not Run.open(self._trainedRun()).config.closed_form.focus:
            raise ConfigError("Choose a mask or give a sphere: the training has no focus that could be taken for it.")

    def _findings(self) -> Results:
        return Results.open(self._folder(), "subtraction")

    def _folder(self) -> str:
        """Where the new images are, relative to the project."""
        return self._getExtraPath("subtracted")
