"""Particles with their latents, in files of RELION, cryoSPARC or cryoDRGN."""

from functools import partial
from pathlib import Path
from typing import Any

from pyworkflow import BETA
from pyworkflow.protocol import params

from ..engine.files import write_text
from ..engine.options import ExportOptions
from .form_settings import FormSetting
from .protocol_run import ProtHetOnRun

_setting = partial(FormSetting, source=ExportOptions)
CLASSES = _setting("classes", "classes", "Each class by itself", condition="program!=0")
OPTIONS = (CLASSES,)
PROGRAMS = ("RELION", "cryoSPARC", "cryoDRGN")
RELION = 0


class ProtHetExport(ProtHetOnRun):
    """Write particles, all of a training or a subset, for another program, with their latents and classes.

    RELION: a star file. cryoSPARC: a .cs file with the latent coordinates as components, and the result group (.csg)
    with which Import Result Group takes it. cryoDRGN: poses.pkl, ctf.pkl, ind.pkl and z.pkl.
    """

    _label = "export particles"
    _devStatus = BETA
    COMMAND, OPTIONS_OF, OPTIONS, MAKES = "export", ExportOptions, OPTIONS, "export"

    # --------------------------- DEFINE param functions ----------------------
    def _defineParams(self, form):
        self._addTrained(form, "Only the particles of this set are written.")
        form.addParam(
            "program", params.EnumParam, choices=list(PROGRAMS), default=RELION,
            display=params.EnumParam.DISPLAY_HLIST, label="For",
            help="*RELION*: particles.star, with poses, CTF, class and latents. *cryoSPARC*: particles.cs and .csg for "
                 "Import Result Group. *cryoDRGN*: poses.pkl, ctf.pkl, ind.pkl and z.pkl, to be used with the star "
                 "file that the training was made from.",
        )  # fmt: skip
        CLASSES.add_to(form)
        self._addThreads(form)

    # --------------------------- STEPS functions -----------------------------
    def engineStep(self, source: str, options: str):
        """Let the engine write the files; a star file is written here, as the set has the particles."""
        if self.program.get() == RELION:
            from ..convert import write_latents_star

            write_latents_star(self.inputParticles.get(), self._starFile(), stack=self._getExtraPath("particles.mrcs"))
            return
        self._writeRows()
        super().engineStep(source, options)

    def createOutputStep(self, source: str, options: str):
        """Nothing goes on in the project: what was made is for another program."""

    def _writeRows(self) -> None:
        """Which rows of the training's star file the particles of the set are."""
        from ..convert import object_ids

        there = {particle.getObjId() for particle in self.inputParticles.get().iterItems()}
        run = self._ownRun()
        ids = object_ids(run.given_file)[run.latents().rows]
        rows = run.latents().rows[[int(i) in there for i in ids]]
        write_text(self._rowsFile(), "".join(f"{row}\n" for row in rows))

    # --------------------------- INFO functions ------------------------------
    def _summary(self):
        if not self.isFinished():
            return ["No particles have been exported yet."]
        if self.program.get() == RELION:
            return [f"{self.inputParticles.get().getSize():,} particles with their latents are in {self._starFile()}."]
        results = self._ownRun().results("export", PROGRAMS[self.program.get()].lower())
        lines = [f"{results.index['particles']:,} particles with their latents are in {results.folder}:"]
        return [*lines, ", ".join(Path(str(results.file(role))).name for role in results.index["files"])]

    def _methods(self):
        return []

    def _citations(self):
        return ["Kimanius2022"]

    # --------------------------- UTILS functions -----------------------------
    def _options(self) -> dict[str, Any]:
        if self.program.get() == RELION:
            return super()._options()
        program = PROGRAMS[self.program.get()].lower()
        return {**super()._options(), "program": program, "only": self._rowsFile()}

    def _rowsFile(self) -> str:
        return self._getExtraPath("rows.txt")

    def _starFile(self) -> str:
        return self._getExtraPath("particles.star")
