"""Latents that another program has found, as particles that every protocol here takes."""

import json
import os
import shutil
from functools import partial
from typing import Any

from pwem.objects import SetOfParticles
from pyworkflow import BETA
from pyworkflow.protocol import params
from pyworkflow.utils import Message

from ..engine import config
from ..engine.options import ImportOptions, as_flags
from ..engine.run import Run
from . import outputs
from .form_settings import FormSetting, chosen
from .protocol_base import ProtHetBase

CRYODRGN, TABLE = 0, 1
_setting = partial(FormSetting, source=ImportOptions)
OF_CRYODRGN = (
    _setting("epoch", "epoch", "Epoch", condition="origin==0"),
    _setting("images", "particles", "Its images (file)", condition="origin==0", expert=True),
    _setting("poses", "poses", "Its poses.pkl", condition="origin==0", expert=True),
    _setting("ctf", "ctf", "Its ctf.pkl", condition="origin==0", expert=True),
)
OF_TABLE = (_setting("bases", "bases", "Bases of the maps", condition="origin==1"),)
OF_BOTH = (
    _setting("indices", "indices", "Its ind.pkl", expert=True),
    _setting("recipe", "recipe", "Recipe of halves", expert=True),
    _setting("seed", "seed", "Random seed", expert=True),
)
OPTIONS = (*OF_CRYODRGN, *OF_TABLE, *OF_BOTH)


class ProtHetImport(ProtHetBase):
    """Take up what another program has found: a training of cryoDRGN, or a table of latent coordinates.

    What comes out goes into analyze, landscape, trajectory, states, validate and select as the output of a training
    does. Maps of a cryoDRGN training are those of its own network, evaluated here; those of a table are solved here.
    Nothing in the files is executed.
    """

    _label = "import latents"
    _possibleOutputs = outputs.IMPORT_OUTPUTS
    _devStatus = BETA

    # --------------------------- DEFINE param functions ----------------------
    def _defineParams(self, form):
        form.addSection(label=Message.LABEL_INPUT)
        form.addParam(
            "origin", params.EnumParam, choices=["a training of cryoDRGN", "a table of latents"], default=CRYODRGN,
            display=params.EnumParam.DISPLAY_HLIST, label="Import",
            help="*A training of cryoDRGN*: the folder that it was told to write to. *A table of latents*: a row of "
                 "numbers for each particle, from any program, or the components of cryoSPARC's 3D Variability "
                 "Analysis.",
        )  # fmt: skip
        form.addParam(
            "folder", params.FolderParam, default="", condition="origin==0", label="Folder of the training",
            help="It holds config.yaml, weights.pkl and z.pkl, or those of its epochs.",
        )  # fmt: skip
        form.addParam(
            "latents", params.FileParam, default="", condition="origin==1", label="Table of latents",
            help=config.field_help(ImportOptions)["latents"],
        )  # fmt: skip
        form.addParam(
            "inputParticles", params.PointerParam, pointerClass="SetOfParticles", allowsNull=True, important=True,
            label="Input particles",
            help="The particles that the latents are of, in the same order, with orientations and CTF. A training of "
                 "cryoDRGN can do without: its particles are then made of the files that it was given.",
        )  # fmt: skip
        for option in OPTIONS:
            option.add_to(form)
        self._addThreads(form)

    # --------------------------- INSERT steps functions ----------------------
    def _insertAllSteps(self):
        particles = self.inputParticles.get()
        source = f"{particles.getObjId()} {particles.getSize()}" if particles is not None else ""
        options = json.dumps([self._source(), self._options()], sort_keys=True)
        self._insertFunctionStep(self.convertInputStep, source, needsGPU=False)
        self._insertFunctionStep(self.importStep, source, options, needsGPU=False)
        self._insertFunctionStep(self.createOutputStep, source, options, needsGPU=False)

    # --------------------------- STEPS functions -----------------------------
    def convertInputStep(self, source: str):
        """Write the particles as a star file, where they were given."""
        from ..convert import write_particles_star

        shutil.rmtree(self.getRunFolder(), ignore_errors=True)
        if source:
            particles = self.inputParticles.get()
            write_particles_star(particles, self._starFile(), stack=self._getExtraPath("particles.mrcs"))

    def importStep(self, source: str, options: str):
        """Let the engine make a run of it."""
        origin, given = json.loads(options)
        flags = as_flags(given, ImportOptions)
        self.runEngine("import", origin, "--out", self.getRunFolder(), "--overwrite", *flags)

    def createOutputStep(self, source: str, options: str):
        """The particles with their latents."""
        from ..convert import fill_flex_particles, latents_by_id, new_flex_particles

        run = Run.open(self.getRunFolder())
        particles = self.inputParticles.get() if source else self._particlesOfRun(run)
        flexible = new_flex_particles(self._getPath(), particles, run)
        fill_flex_particles(flexible, particles, latents_by_id(run))
        self._give(outputs.PARTICLES, flexible, *([self.inputParticles] if source else []))

    def _particlesOfRun(self, run: Run) -> SetOfParticles:
        from ..convert import read_particles_star

        particles = SetOfParticles.create(self._getExtraPath())
        read_particles_star(str(run.given_file), particles)
        particles.write()
        return particles

    # --------------------------- INFO functions ------------------------------
    def _validate(self):
        particles, source = self.inputParticles.get(), self._file().get()
        if not source or not os.path.exists(source):
            what = "the folder of the training" if self.origin.get() == CRYODRGN else "the table of latents"
            return [f"Choose {what}; there is nothing at {source!r}." if source else f"Choose {what}."]
        if particles is None:
            return [] if self.origin.get() == CRYODRGN else ["Choose the particles that the latents are of."]
        if not particles.hasAlignmentProj():
            return ["The particles have no orientations; maps cannot be made of them."]
        return self._settingErrors(lambda: ImportOptions(**self._options()))

    def _summary(self):
        if not self.isFinished():
            return ["Nothing has been imported yet."]
        run = Run.open(self.getRunFolder())
        said = run.info["notes"]["imported"]
        latents = run.latents()
        epoch = f", epoch {said['epoch']}" if "epoch" in said else ""
        count = f"{len(latents.z):,} particles have {latents.z.shape[1]} latent coordinates"
        lines = [f"{count}, from {said['from']}{epoch}."]
        if "bases" in said:
            lines.append(f"Their maps are a mean and {said['bases']} bases, solved on half-sets.")
        return [*lines, f"Everything the engine wrote is in {self.getRunFolder()}."]

    def _methods(self):
        return ["Latent coordinates of another program were imported."] if self.isFinished() else []

    def _citations(self):
        return ["Zhong2021"] if self.origin.get() == CRYODRGN else ["Kimanius2022"]

    # --------------------------- UTILS functions -----------------------------
    def _file(self):
        return self.folder if self.origin.get() == CRYODRGN else self.latents

    def _source(self) -> str:
        """What the engine is to import: the training, or the particles that a table is of."""
        return self.folder.get() if self.origin.get() == CRYODRGN else self._starFile()

    def _options(self) -> dict[str, Any]:
        """The options that the form gives; particles of the project beat a file."""
        options = chosen(self, OPTIONS)
        if self.origin.get() == TABLE:
            return {**options, "latents": self.latents.get()}
        return {**options, **({"particles": self._starFile()} if self.inputParticles.get() is not None else {})}

    def _starFile(self) -> str:
        return self._getExtraPath("particles.star")
