"""Which species several searches agree on: particles of each with the poses of one of them, classes and merged maps."""

import json
import os
from collections.abc import Iterator
from typing import Any

from pwem.objects import Particle, SetOfClasses3D, SetOfParticles, SetOfVolumes
from pyworkflow import BETA
from pyworkflow.protocol import params
from pyworkflow.utils import Message

from ..engine.options import AgreementOptions, as_flags
from ..engine.results import Results
from ..engine.run import Run
from . import outputs
from .form_settings import FormSetting, chosen
from .protocol_ab_initio import ProtHetAbInitio
from .protocol_base import ProtHetBase

LEAST = FormSetting("least", "least", "Share of the runs that must agree", AgreementOptions)
OPTIONS = (LEAST,)


class ProtHetAgreement(ProtHetBase):
    """Say which species several searches from other seeds agree on, and on which particles.

    Each species goes on with the particles that all searches agree on which have found it, in the orientations of the
    one whose map is the best resolved, and with the mean of their maps in its frame.
    """

    _label = "agreement of species"
    _possibleOutputs = outputs.AGREEMENT_OUTPUTS
    _devStatus = BETA

    # --------------------------- DEFINE param functions ----------------------
    def _defineParams(self, form):
        form.addSection(label=Message.LABEL_INPUT)
        form.addParam(
            "inputClasses", params.MultiPointerParam, pointerClass="SetOfClasses3D", minNumObjects=2, important=True,
            label="Searches for species",
            help="Classes that *ab initio maps* made of *several species*, two or more times, with other random seeds "
                 "or of parts of the particles that overlap.",
        )  # fmt: skip
        LEAST.add_to(form)
        self._addThreads(form)

    # --------------------------- INSERT steps functions ----------------------
    def _insertAllSteps(self):
        depends_on = (json.dumps(self._runs()), json.dumps(chosen(self, OPTIONS)))
        self._insertFunctionStep(self.compareStep, *depends_on, needsGPU=False)
        self._insertFunctionStep(self.createOutputStep, *depends_on, needsGPU=False)

    # --------------------------- STEPS functions -----------------------------
    def compareStep(self, runs: str, options: str):
        """Let the engine compare the runs, the first of them by links, so that nothing is written into it."""
        first, *others = json.loads(runs)
        Run.borrow(first, self.getRunFolder(), "agreement")
        self.runEngine("agreement", self.getRunFolder(), *others, *as_flags(json.loads(options), AgreementOptions))

    def createOutputStep(self, runs: str, options: str):
        """The particles that runs agree on, a class of each species, and the merged maps."""
        results = self._findings()
        maps = {entry["species"]: results.path(entry["map"]) for entry in results.index["species"]}
        if not maps:
            return
        from ..convert import classify, volume_object

        volumes = SetOfVolumes.create(self._getPath())
        for number, path in maps.items():
            volume = volume_object(path)
            volume.setObjLabel(f"species {number}")
            volumes.setSamplingRate(volume.getSamplingRate())
            volumes.append(volume)
        searches = self._searches()
        self._give(outputs.VOLUMES, volumes, *(search.inputParticles for search in searches))
        particles = SetOfParticles.create(self._getPath())
        particles.copyInfo(searches[0].inputParticles.get())
        for particle in self._agreed(results):
            particles.append(particle)
        if not particles.getSize():
            return
        particles.setAlignmentProj()
        self._give(outputs.PARTICLES, particles, *(search.inputParticles for search in searches))
        classes = SetOfClasses3D.create(self._getPath())
        classes.setImages(particles)
        classify(classes, maps)
        self._give(outputs.CLASSES, classes, *(search.inputParticles for search in searches))

    def _agreed(self, results: Results) -> Iterator[Particle]:
        """The particles of each species, as they are in the set that was searched by the run which has their poses."""
        from ..convert import posed_particles

        names = [run["name"] for run in results.index["runs"]]
        for entry in results.index["species"]:
            if entry["star"]:
                search = self._searches()[names.index(entry["poses_of"])]
                yield from posed_particles(search.inputParticles.get(), results.path(entry["star"]), with_class=True)

    # --------------------------- INFO functions ------------------------------
    def _validate(self):
        searches = [pointer.getObjValue() for pointer in self.inputClasses]
        if len(searches) < 2:
            return ["Choose the classes of two searches or more; one alone has nothing to agree with."]
        if not all(isinstance(search, ProtHetAbInitio) for search in searches):
            return ["One of these is no search of this plugin; choose outputs of ab initio maps, of several species."]
        if len({search.getObjId() for search in searches}) < len(searches):
            return ["One search is chosen twice; choose searches with other random seeds."]
        sets = {search.inputParticles.get().getObjId() for search in searches}
        if len(sets) > 1 and any(os.path.exists(search._getExtraPath("particles.mrcs")) for search in searches):
            return [
                (
                    "The images of these sets had to be converted, so particles of one are not known in the other; "
                    "search the same set with other seeds."
                )
            ]
        return self._settingErrors(lambda: AgreementOptions(**chosen(self, OPTIONS)))

    def _summary(self):
        if not self.isFinished():
            return ["The searches have not been compared yet."]
        index = self._findings().index
        if not index["species"]:
            return ["The searches agree on no species."]
        lines = [
            (f"Species {entry['species']}: {entry['particles']:,} particles, found in {entry['found_in']} of "
             f"{len(index['runs'])} searches, which agree on {entry['share_agreed']:.1%}.")
            for entry in index["species"]
        ]  # fmt: skip
        rand = [pair["adjusted_rand_index"] for pair in index["pairs"] if pair["adjusted_rand_index"] is not None]
        lines.append(f"Adjusted Rand index of two searches: {min(rand):.2f} to {max(rand):.2f} (1 is the same).")
        return lines + index["divided_otherwise"]

    def _methods(self):
        if not self.isFinished():
            return []
        return [f"Species are those on which {len(self.inputClasses)} searches from nothing agree."]

    def _citations(self):
        return ["Kimanius2022"]

    # --------------------------- UTILS functions -----------------------------
    def _searches(self) -> list[Any]:
        """The protocols that made the classes."""
        return [pointer.getObjValue() for pointer in self.inputClasses]

    def _runs(self) -> list[str]:
        """Their run folders, relative to the project."""
        return [search.getRunFolder() for search in self._searches()]

    def _findings(self) -> Results:
        return Run.open(self.getRunFolder()).results("agreement")

    def getPictures(self) -> list[tuple[str, str]]:
        """Name and file of each picture, relative to the project."""
        return [(name, str(file)) for name, file in self._findings().figures.items()]
