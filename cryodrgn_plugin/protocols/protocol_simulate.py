"""Simulated particles of a moving molecule, so that a newcomer has data whose answer is known."""

import glob
import json

from pwem.objects import SetOfParticles, SetOfVolumes
from pyworkflow import BETA
from pyworkflow.protocol import params
from pyworkflow.utils import Message

from ..engine.options import SimulationConfig, as_flags
from ..engine.simulate.presets import PRESETS
from . import outputs
from .form_settings import FormSetting, chosen
from .protocol_base import ProtHetBase, addGroup

PRESET, MODELS = 0, 1
PRESET_NAMES = tuple(PRESETS)


def _setting(param: str, setting: str, label: str, **options) -> FormSetting:
    return FormSetting(param, setting, label, SimulationConfig, **options)


IMAGES = (
    _setting("nParticles", "n_particles", "Particles"),
    _setting("box", "box", "Box (px)"),
    _setting("snr", "snr", "Signal-to-noise ratio"),
    _setting("shift", "shift_px", "Largest shift (px)", expert=True),
    _setting("astigmatism", "astigmatism_ang", "Largest astigmatism (Å)", expert=True),
    _setting("bFactor", "b_factor_ang2", "B-factor (Å²)", expert=True),
)
REALITY = (
    _setting("noiseSpectrum", "noise_spectrum", "Spectrum of the noise"),
    _setting("views", "views", "Views"),
    _setting("viewsConcentration", "views_concentration", "Concentration of the views", condition="views!=0"),
    _setting("preferredViews", "preferred_views", "Preferred directions", condition="views==3"),
    _setting("viewsFrom", "views_from", "Views of a star file", expert=True),
    _setting("contrast", "contrast_sd", "Spread of the contrast"),
    _setting("poseError", "pose_error_deg", "Error of orientations (°)"),
    _setting("shiftError", "shift_error_px", "Error of shifts (px)"),
    _setting("defocusError", "defocus_error_ang", "Error of defocus (Å)"),
    _setting("junk", "junk_share", "Share of junk"),
    _setting("neighbours", "neighbours_share", "Share with a neighbour"),
    _setting("gradient", "gradient_sd", "Gradients of brightness"),
)


class ProtHetSimulate(ProtHetBase):
    """Make particle images of a molecule in motion, with CTF, shifts and noise, and the true maps beside them.

    Try the other protocols on these before you trust them with your data: here the answer is known. The table truth.npz
    in the run's extra folder holds the state, orientation and shift of every particle.
    """

    _label = "simulate particles"
    _possibleOutputs = outputs.SIMULATE_OUTPUTS
    _devStatus = BETA

    # --------------------------- DEFINE param functions ----------------------
    def _defineParams(self, form):
        form.addSection(label=Message.LABEL_INPUT)
        form.addParam(
            "source", params.EnumParam, choices=["a ready-made molecule", "my own models"], default=PRESET,
            display=params.EnumParam.DISPLAY_HLIST, label="Simulate",
            help="Ready-made molecules come with the plugin; nothing is downloaded. With two models of your own the "
                 "motion goes from the first to the second.",
        )  # fmt: skip
        described = "\n".join(f"*{name}*: {preset.summary}." for name, preset in PRESETS.items())
        form.addParam(
            "preset", params.EnumParam, choices=list(PRESET_NAMES), default=0, label="Molecule",
            condition="source==0",
            help=f"{described}\nThose called real_ have uneven views, the noise of ice, contrast that varies and wrong "
                 "poses, as published sets have; what you change below wins over that.",
        )  # fmt: skip
        for name, label in (("firstModel", "First model"), ("secondModel", "Second model")):
            form.addParam(
                name, params.FileParam, default="", label=label, condition="source==1",
                help="A PDB, mmCIF or MMTF file. Both models must be of the same molecule.",
            )  # fmt: skip
        addGroup(form, "Images", IMAGES)
        addGroup(form, "As hard as real images", REALITY)
        form.addParam(
            "pixelSize", params.FloatParam, default=None, allowsNull=True, label="Pixel size (Å)",
            help="Empty chooses it so that the molecule fills about four fifths of the box.",
        )  # fmt: skip
        form.addParam(
            "states", params.IntParam, default=50, expertLevel=params.LEVEL_ADVANCED, label="States along the motion",
            help="More make the motion smoother; the simulation takes a little longer.",
        )  # fmt: skip
        form.addParam(
            "oneState", params.BooleanParam, default=False, expertLevel=params.LEVEL_ADVANCED, label="One state only",
            help="Only the state with most particles (of equals, the middle one): a set to compare with, in which "
                 "nothing varies.",
        )  # fmt: skip
        form.addParam(
            "seed", params.IntParam, default=0, expertLevel=params.LEVEL_ADVANCED, label="Random seed",
            help="The same seed gives the same particles.",
        )  # fmt: skip
        self._addThreads(form)

    # --------------------------- INSERT steps functions ----------------------
    def _insertAllSteps(self):
        arguments = json.dumps(self._arguments())
        self._insertFunctionStep(self.simulateStep, arguments, needsGPU=False)
        self._insertFunctionStep(self.createOutputStep, arguments, needsGPU=False)

    # --------------------------- STEPS functions -----------------------------
    def simulateStep(self, arguments: str):
        """Let the engine make the images."""
        self.runEngine("simulate", "--out", self._getExtraPath(), "--overwrite", *json.loads(arguments))

    def createOutputStep(self, arguments: str):
        """The particles, and the maps of the states they were made from."""
        from ..convert import read_particles_star, volume_object

        particles = SetOfParticles.create(self._getPath())
        read_particles_star(self._getExtraPath("particles.star"), particles)
        volumes = SetOfVolumes.create(self._getPath())
        volumes.setSamplingRate(particles.getSamplingRate())
        for path in self._mapFiles():
            volumes.append(volume_object(path))
        self._defineOutputs(**{outputs.PARTICLES: particles, outputs.VOLUMES: volumes})
        self._defineSourceRelation(volumes, particles)

    # --------------------------- INFO functions ------------------------------
    def _validate(self):
        if self.source.get() == MODELS and not (self.firstModel.get() and self.secondModel.get()):
            return ["Choose two models, or simulate a ready-made molecule."]
        return self._settingErrors(lambda: SimulationConfig(**chosen(self, IMAGES + REALITY)))

    def _summary(self):
        particles = getattr(self, outputs.PARTICLES, None)
        if particles is None:
            return ["The particles are not ready."]
        volumes = getattr(self, outputs.VOLUMES)
        return [
            f"{particles.getSize():,} images of {particles.getXDim()} px of {particles.getSamplingRate():.2f} Å,",
            f"of {volumes.getSize()} states, with a signal-to-noise ratio of {self._snr():g}.",
            f"What was planted is in {self._getExtraPath('truth.npz')}.",
        ]

    def _methods(self):
        return [f"{self.nParticles.get():,} particle images were simulated (signal-to-noise ratio {self._snr():g})."]

    # --------------------------- UTILS functions -----------------------------
    def _arguments(self) -> list[str]:
        """The options of the command line that the form gives; what was not changed is left to the molecule."""
        molecule = ["--preset", self._presetName()]
        if self.source.get() == MODELS:
            molecule = ["--model", self.firstModel.get(), "--model", self.secondModel.get()]
        options = as_flags(chosen(self, IMAGES + REALITY), SimulationConfig)
        options += ["--states", str(self.states.get()), "--seed", str(self.seed.get())]
        if self.oneState.get():
            options.append("--one-state")
        if self.pixelSize.get():
            options += ["--pixel-size-ang", str(self.pixelSize.get())]
        return molecule + options

    def _presetName(self) -> str:
        return PRESET_NAMES[self.preset.get()]

    def _snr(self) -> float:
        """The molecule's own signal-to-noise ratio, unless the form was changed."""
        of_preset = PRESETS[self._presetName()].settings if self.source.get() == PRESET else {}
        return {**of_preset, **_changed(self)}.get("snr", SimulationConfig.snr)

    def _mapFiles(self) -> list[str]:
        return sorted(glob.glob(self._getExtraPath("maps", "state_*.mrc")))


def _changed(protocol) -> dict[str, object]:
    """The settings of the form that are not the defaults."""
    values = chosen(protocol, IMAGES + REALITY)
    return {name: value for name, value in values.items() if value != getattr(SimulationConfig, name)}
