"""What the protocols on a trained run share: a run folder of links, one command on it, its options from a form."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from pwem.objects import Particle, SetOfClasses3D, SetOfVolumes, SetOfVolumesFlex
from pyworkflow.protocol import params
from pyworkflow.utils import Message

from ..constants import PROGRAM_NAME
from ..engine.errors import ConfigError, EngineError
from ..engine.options import as_flags
from ..engine.results import Results
from ..engine.run import Run
from . import outputs
from .form_settings import FormSetting, chosen
from .protocol_base import ProtHetBase
from .trained import trained_run


class ProtHetOnRun(ProtHetBase):
    """Base of the protocols that take trained particles; it is not shown in the tree.

    The particles of an analysis, a landscape or a validation bring the results of that protocol with them.
    """

    COMMAND = ""
    """Of the engine's command line; it works on the run folder."""
    OPTIONS_OF: type
    """The dataclass of its options."""
    OPTIONS: Sequence[FormSetting] = ()
    """Those that the form shows."""
    MAKES = ""
    """The kind of results that the command makes in the run; empty where it makes none there."""

    # --------------------------- DEFINE param functions ----------------------
    def _addTrained(self, form, more: str = "") -> None:
        """The first section, with the trained particles."""
        form.addSection(label=Message.LABEL_INPUT)
        self._addGpuParams(form)
        form.addParam(
            "inputParticles", params.PointerParam, pointerClass="SetOfParticlesFlex", important=True,
            label="Trained particles",
            help="Particles with latent coordinates from *train heterogeneity* or *ab initio maps*, or from a protocol "
                 "that looked at those: the whole training is looked at, and the outputs hold the particles of this "
                 f"set. {more}",
        )  # fmt: skip

    # --------------------------- INSERT steps functions ----------------------
    def _insertAllSteps(self):
        particles = self.inputParticles.get()
        source = f"{particles.getObjId()} {particles.getSize()} {self._trainedRun()}"
        options = json.dumps(self._options(), sort_keys=True)
        self._insertFunctionStep(self.linkRunStep, source, needsGPU=False)
        self._insertFunctionStep(self.engineStep, source, options, needsGPU=True)
        self._insertFunctionStep(self.createOutputStep, source, options, needsGPU=False)

    # --------------------------- STEPS functions -----------------------------
    def linkRunStep(self, source: str):
        """A run folder of our own that shares the training's files, so that several protocols stand side by side."""
        Run.borrow(self._trainedRun(), self.getRunFolder(), self.MAKES)

    def engineStep(self, source: str, options: str):
        """Let the engine work on the run."""
        self.runEngine(self.COMMAND, self.getRunFolder(), *self._flags(json.loads(options)))

    # --------------------------- INFO functions ------------------------------
    def _validate(self):
        if self._trainedRun() is None:
            return ["These particles carry no training of this plugin; choose the output of train heterogeneity."]
        try:
            if not Run.open(self._trainedRun()).latents().z.shape[1]:
                return ["The training found one map for all particles and no latent space; train with more dimensions."]
            self.OPTIONS_OF(**self._options())
        except EngineError as error:
            return [str(error)]
        return []

    # --------------------------- UTILS functions -----------------------------
    def _options(self) -> dict[str, Any]:
        """The options of the command that the form gives."""
        return chosen(self, self.OPTIONS)

    def _flags(self, options: dict[str, Any]) -> list[str]:
        """The arguments of the command."""
        return as_flags(options, self.OPTIONS_OF)

    def _trainedRun(self) -> str | None:
        """Folder of the run that gave the input its latents, relative to the project."""
        return trained_run(self.inputParticles.get())

    def _rowsOf(self, ids: str | None) -> str:
        """Rows of the run's star file, from 0 and with commas, of the particles whose ids are given, as 12, 5000.

        Raises ConfigError for an id that the training does not know.
        """
        words = (ids or "").replace(",", " ").split()
        if not words:
            return ""
        from ..convert import object_ids

        row_of = {int(i): row for row, i in enumerate(object_ids(Run.open(self._trainedRun()).given_file))}
        strangers = [word for word in words if not word.isdecimal() or int(word) not in row_of]
        if strangers:
            raise ConfigError(
                f"Particle {strangers[0]} is not in the training; give ids of its particles, as 12, 5000."
            )
        return ",".join(str(row_of[int(word)]) for word in words)

    @staticmethod
    def _grouped(results: Results) -> list[str]:
        """What classes, clusters or states are, and why, in a sentence; nothing where the user named them."""
        sentence = results.index.get("grouped_because")
        return [sentence] if sentence else []

    def _ownRun(self) -> Run:
        """Our run of links, with what the engine added."""
        return Run.open(self.getRunFolder())

    def _flexOutput(self, name: str, only: Iterable[Particle] | None = None, suffix: str = "", **filled) -> Any:
        """Particles of the input, all or `only` some, with their latents; `filled` goes to `fill_flex_particles`.

        The set notes our run, so that what was found here goes on with the particles.
        """
        from ..convert import confidence_of, fill_flex_particles, latents_by_id, new_flex_particles

        run, particles = self._ownRun(), self.inputParticles.get()
        filled["confidence"] = confidence_of(run)
        flexible = new_flex_particles(self._getPath(), particles, run, suffix=suffix)
        fill_flex_particles(flexible, particles if only is None else only, latents_by_id(run), **filled)
        self._give(name, flexible, self.inputParticles)
        return flexible

    def _mapsOutput(self, results: Results, series: str) -> None:
        """The maps of a series, plain and with their latents."""
        self._volumesOutput(outputs.VOLUMES, results, series)
        self._flexVolumesOutput(outputs.FLEX_VOLUMES, results, series)

    def _volumesOutput(self, name: str, results: Results, series: str, suffix: str = "", role: str = "file") -> None:
        """The maps of a series; `role` names another of their files, such as the sharpened map."""
        from ..convert import fill_volumes

        volumes = SetOfVolumes.create(self._getPath(), suffix=suffix)
        fill_volumes(volumes, results, series, role)
        self._give(name, volumes, self.inputParticles)

    def _flexVolumesOutput(self, name: str, results: Results, series: str, suffix: str = "") -> None:
        """The maps of a series with their latents."""
        from ..convert import fill_flex_volumes

        flexible = SetOfVolumesFlex.create(self._getPath(), suffix=suffix, progName=PROGRAM_NAME)
        fill_flex_volumes(flexible, results, series)
        self._give(name, flexible, self.inputParticles)

    def _classesOutput(self, results: Results, particles) -> None:
        """One class per label of the particles, with the map of that number."""
        from ..convert import classify

        classes = SetOfClasses3D.create(self._getPath())
        classes.setImages(particles)
        maps = enumerate(results.class_series["maps"], start=1)
        classify(classes, {number: results.path(entry["file"]) for number, entry in maps})
        self._give(outputs.CLASSES, classes, self.inputParticles)


def reach(maps: list[dict], key: str) -> str:
    """The range of a resolution over maps, in angstrom; empty where none has it."""
    reached = [item[key] for item in maps if item.get(key)]
    values = sorted({f"{limit['0.143'] if isinstance(limit, dict) else limit:.1f}" for limit in reached}, key=float)
    return f"{' to '.join(dict.fromkeys((values[0], values[-1])))} Å" if values else ""
