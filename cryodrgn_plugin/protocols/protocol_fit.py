"""What the protocols that train share: particles to a star file, settings to a run, and the map of all particles."""

import os
import shutil
from itertools import count
from operator import attrgetter
from typing import Any

from pwem.objects import Volume
from pyworkflow.protocol import params

from ..engine import config
from ..engine.errors import EngineError
from ..engine.run import MAY_CHANGE_ON_RESUME, Run
from .form_settings import FormSetting, as_arguments, chosen, typed
from .protocol_base import ProtHetBase

FEW_PARTICLES = 1000
FIGURES = {"resolution": "fsc.png", "resolution by direction, and views": "fsc_directions.png"}
"""Of the map of all particles, by their names for a person."""
HALVES = ("run_half1_class001_unfil.mrc", "run_half2_class001_unfil.mrc")
IMAGE_SETTINGS = ("seed", "data.box", "data.sign", "data.ctf_applied", "data.window", "data.max_particles")
"""The settings that a reconstruction of one map shares with a training."""


def image_settings(menu: tuple[str, ...]) -> tuple[FormSetting, ...]:
    """How the images are prepared, for a form that offers the recipes `menu`."""
    every = {"recipes": menu, "menu": menu}
    return (
        FormSetting("box", "data.box", "Box after downsampling (px)", **every),
        FormSetting("sign", "data.sign", "Particles are", expert=True, **every),
        FormSetting("ctfApplied", "data.ctf_applied", "Done about the CTF", expert=True, **every),
        FormSetting("window", "data.window", "Window radius", expert=True, **every),
        FormSetting("maxParticles", "data.max_particles", "Use at most (particles)", expert=True, **every),
        FormSetting("cacheMb", "data.cache_mb", "Images kept in memory (MB)", expert=True, **every),
        FormSetting("imageStore", "data.store", "Prepared images on disk", expert=True, **every),
    )


class ProtHetFit(ProtHetBase):
    """Base of the protocols that make a run; it is not shown in the tree."""

    RECIPES: tuple[str, ...] = ()
    """What the parameter `recipe` chooses from."""
    SETTINGS: tuple[FormSetting, ...] = ()
    """The engine settings of the form."""

    # --------------------------- DEFINE param functions ----------------------
    @staticmethod
    def _addOtherSettings(form):
        form.addParam(
            "otherSettings", params.TextParam, default="", height=2, width=60, expertLevel=params.LEVEL_ADVANCED,
            label="Other settings",
            help="Any setting of the engine as section.name=value, separated by spaces; they beat the form.\n"
                 f"The settings are: {', '.join(config.setting_names())}.",
        )  # fmt: skip

    # --------------------------- STEPS functions -----------------------------
    def convertInputStep(self, source: str):
        """Write the particles as a star file; a run of other particles goes, or stays aside if it has finished."""
        from ..convert import write_particles_star

        self._keepFinished()
        shutil.rmtree(self.getRunFolder(), ignore_errors=True)
        write_particles_star(self.inputParticles.get(), self._starFile(), stack=self._getExtraPath("particles.mrcs"))

    def _reconstruct(self, star: str, settings: dict[str, Any]) -> None:
        """One map of the particles in `star`, with half-maps and their resolution, prepared as the training was."""
        images = {name: value for name, value in settings.items() if name in IMAGE_SETTINGS}
        self.runEngine("reconstruct", star, "--out", self._consensusPath(), *as_arguments(images))

    def _consensusVolume(self) -> Volume:
        """The map of all particles with its half-maps."""
        from ..convert import volume_object

        return volume_object(self.getConsensusMap(), half_maps=[self._consensusPath(name) for name in HALVES])

    # --------------------------- INFO functions ------------------------------
    def _inputErrors(self) -> list[str]:
        """What is wrong with the settings, and with the particles other than their orientations."""
        particles = self.inputParticles.get()
        errors = self._settingErrors(self._config)
        if not particles.hasCTF():
            errors.append("The particles have no CTF; estimate it and assign it to them before training.")
        if particles.isAmplitudeCorrected():
            errors.append("The particles are corrected for the CTF's amplitude; use them as they were before that.")
        if self.box.get() and self.box.get() > particles.getXDim():
            errors.append(
                f"The box after downsampling is {self.box.get()} px and the particles have {particles.getXDim()} px; "
                "choose a smaller one, or 0 to keep theirs."
            )
        return errors

    def _warnings(self):
        particles = self.inputParticles.get()
        if particles is None:
            return []
        warnings = []
        if particles.getSize() < FEW_PARTICLES:
            warnings.append(
                f"There are only {particles.getSize():,} particles; motions are rarely found with fewer than a few "
                "thousand, so take the result as a trial."
            )
        return warnings + self._memoryWarnings(particles)

    def _memoryWarnings(self, particles) -> list[str]:
        try:
            machine_mb = config.machine_memory_mb()
            needs = config.memory_needs(self._config(), particles.getSize(), particles.getXDim(), machine_mb)
        except EngineError:
            return []  # settings that are refused anyway
        warning = "" if needs is None else needs.warning(machine_mb)
        return [warning] if warning else []

    # --------------------------- UTILS functions -----------------------------
    def getConsensusMap(self) -> str:
        return self._consensusPath("map.mrc")

    def getPictures(self) -> list[tuple[str, str]]:
        """Name and file of each figure of the map of all particles, relative to the project."""
        return [(name, path) for name, file in FIGURES.items() if os.path.isfile(path := self._consensusPath(file))]

    def _recipe(self) -> str:
        return self.RECIPES[self.recipe.get()]

    def _formSettings(self) -> dict[str, Any]:
        """The settings that the form determines."""
        return {"device": "auto" if self.usesGpu() else "cpu", **chosen(self, self.SETTINGS)}

    def _overrides(self) -> dict[str, Any]:
        """Settings that differ from the recipe's; what is typed as other settings beats the rest."""
        usual = config.recipe_config(self._recipe())
        differing = {name: value for name, value in self._formSettings().items() if value != attrgetter(name)(usual)}
        return {**differing, **self._typed()}

    def _typed(self) -> dict[str, str]:
        return typed(self.otherSettings.get())

    def _config(self) -> config.RunConfig:
        return config.recipe_config(self._recipe(), self._overrides())

    def _again(self, recipe: str, overrides: dict[str, Any]) -> str:
        """--resume when the run folder holds a run that can go on with these settings, else --overwrite."""
        run = self._openRun()
        if run is None:
            return "--overwrite"
        wanted = config.recipe_config(recipe, {**overrides, "particles": self._starFile()})
        if set(config.differing_settings(run.config, wanted)) <= set(MAY_CHANGE_ON_RESUME):
            return "--resume"
        self._keepFinished()
        return "--overwrite"

    def _keepFinished(self) -> None:
        """Put a training that has finished aside, where another is about to take its place."""
        run = self._openRun()
        if run is not None and run.latents_file.exists():
            aside = next(path for k in count(1) if not os.path.exists(path := f"{self.getRunFolder()}_before_{k}"))
            os.rename(self.getRunFolder(), aside)
            self.info(f"The training with other settings is kept in {aside}.")

    def _openRun(self) -> Run | None:
        try:
            return Run.open(self.getRunFolder())
        except EngineError:
            return None

    def _inputKey(self) -> str:
        """What tells one input from another: its object and how many particles it has."""
        particles = self.inputParticles.get()
        return f"{particles.getObjId()} {particles.getSize()}"

    def _extentAng(self) -> float:
        """The width of an input image."""
        particles = self.inputParticles.get()
        return particles.getXDim() * particles.getSamplingRate()

    def _starFile(self) -> str:
        return self._getExtraPath("particles.star")

    def _consensusPath(self, *names: str) -> str:
        return self._getExtraPath("consensus", *names)
