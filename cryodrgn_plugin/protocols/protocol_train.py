"""Training: particles with poses in, a latent coordinate per particle and a consensus map out."""

import json
import shutil
from operator import attrgetter
from typing import Any

from pwem.objects import SetOfParticlesFlex
from pyworkflow import BETA
from pyworkflow.protocol import params
from pyworkflow.utils import Message

from ..constants import PROGRAM_NAME
from ..engine import config
from ..engine.errors import EngineError
from ..engine.run import Run
from . import outputs
from .protocol_base import EngineFailed, ProtHetBase, addGroup
from .settings import RECIPES, FormSetting, as_arguments, chosen, typed

FEW_PARTICLES = 1000
MAX_BLOCKS = 5
HALVES = ("run_half1_class001_unfil.mrc", "run_half2_class001_unfil.mrc")
IMAGE_SETTINGS = ("seed", "data.box", "data.sign", "data.window", "data.max_particles")
"""The settings that a reconstruction of one map shares with a training."""

# The recipes that a setting matters to.
CLOSED = ("fast",)
BY_EPOCHS = ("paper", "cryodrgn", "homogeneous")
GRID = ("fast", "paper", "homogeneous")
LATENT_RECIPES = ("fast", "paper", "cryodrgn")

IMAGES = (
    FormSetting("box", "data.box", "Box after downsampling (px)"),
    FormSetting("sign", "data.sign", "Particles are", choices=("auto", "white", "black"), expert=True),
    FormSetting("window", "data.window", "Window radius", expert=True),
    FormSetting("maxParticles", "data.max_particles", "Use at most (particles)", expert=True),
    FormSetting("cacheMb", "data.cache_mb", "Images kept in memory (MB)", expert=True),
)
CLOSED_FORM = (
    FormSetting("nComponents", "closed_form.n_components", "Directions of motion", recipes=CLOSED),
    FormSetting("iterations", "closed_form.iterations", "EM iterations", recipes=CLOSED, expert=True),
    FormSetting("firstRadius", "closed_form.first_radius", "First Fourier shell", recipes=CLOSED, expert=True),
    FormSetting("nodes", "closed_form.nodes", "Nodes of the latent space", recipes=CLOSED, expert=True),
)
TRAINING = (
    FormSetting("epochs", "training.epochs", "Epochs", recipes=BY_EPOCHS),
    FormSetting("batchSize", "training.batch_size", "Batch size", recipes=BY_EPOCHS, expert=True),
    FormSetting("learningRate", "training.learning_rate", "Learning rate", recipes=BY_EPOCHS, expert=True),
    FormSetting("schedule", "training.schedule", "Learning rate schedule", recipes=BY_EPOCHS, expert=True,
                choices=("constant", "cosine", "step")),
    FormSetting("beta", "training.beta", "Weight of the prior on z", recipes=BY_EPOCHS, expert=True),
    FormSetting("warmup", "training.warmup_epochs", "Warm-up epochs", recipes=BY_EPOCHS, expert=True),
    FormSetting("precision", "training.precision", "Precision", recipes=BY_EPOCHS, expert=True,
                choices=("auto", "float32", "bf16")),
    FormSetting("points", "training.points", "Share of Fourier points", recipes=BY_EPOCHS, expert=True),
    FormSetting("earlyStop", "training.early_stop", "Patience (epochs)", recipes=BY_EPOCHS, expert=True),
)  # fmt: skip
DECODER = (
    FormSetting("nBases", "decoder.n_bases", "Basis volumes", recipes=("paper",)),
    FormSetting("padding", "decoder.padding", "Oversampling of the Fourier grid", recipes=GRID, expert=True),
    FormSetting("layers", "decoder.layers", "Hidden layers", recipes=("paper", "cryodrgn"), expert=True),
    FormSetting("width", "decoder.width", "Units per hidden layer", recipes=("paper", "cryodrgn"), expert=True),
    FormSetting("encoding", "decoder.encoding", "Positional encoding", recipes=("cryodrgn",), expert=True,
                choices=("gaussian", "geometric")),
)  # fmt: skip
LATENT = FormSetting("zDim", "z_dim", "Latent dimensions", recipes=LATENT_RECIPES)
SEED = FormSetting("seed", "seed", "Random seed", expert=True)
SETTINGS = (*IMAGES, *CLOSED_FORM, *TRAINING, *DECODER, LATENT, SEED)


class ProtHetTrain(ProtHetBase):
    """Find how the particles of a refined set differ: a latent coordinate for each particle, and the maps behind it.

    The particles need orientations from a 3D refinement and a CTF. The recipe *fast* solves the problem in closed form
    and takes minutes without a GPU; *paper* and *cryodrgn* train networks and are better with one; *homogeneous* makes
    a single map, a check that poses, CTF and pixel size are right.
    """

    _label = "train heterogeneity"
    _possibleOutputs = outputs.TRAIN_OUTPUTS
    _devStatus = BETA

    # --------------------------- DEFINE param functions ----------------------
    def _defineParams(self, form):
        form.addSection(label=Message.LABEL_INPUT)
        self._addGpuParams(form)
        form.addParam(
            "inputParticles", params.PointerParam, pointerClass="SetOfParticles", pointerCondition="hasAlignmentProj",
            important=True, label="Input particles",
            help="Particles with orientations (from a 3D refinement) and CTF. Results are matched to them by their id.",
        )  # fmt: skip
        form.addParam(
            "recipe", params.EnumParam, choices=list(RECIPES), default=RECIPES.index("fast"),
            display=params.EnumParam.DISPLAY_HLIST,
            label="Recipe", help=config.setting("recipe")[2],
        )  # fmt: skip
        LATENT.add_to(form)
        addGroup(form, "Images", IMAGES)
        form.addSection(label="Method")
        addGroup(form, "Closed forms", CLOSED_FORM, condition="recipe==0")
        addGroup(form, "Training", TRAINING, condition="recipe!=0")
        addGroup(form, "Decoder", DECODER)
        SEED.add_to(form)
        form.addParam(
            "otherSettings", params.TextParam, default="", height=2, width=60, expertLevel=params.LEVEL_ADVANCED,
            label="Other settings",
            help="Any setting of the engine as section.name=value, separated by spaces; they beat the form.\n"
                 f"The settings are: {', '.join(config.setting_names())}.",
        )  # fmt: skip
        self._addThreads(form)

    # --------------------------- INSERT steps functions ----------------------
    def _insertAllSteps(self):
        # Scipion compares steps one by one, so each carries everything its result depends on.
        depends_on = (self._inputKey(), self._recipe(), json.dumps(self._overrides(), sort_keys=True))
        self._insertFunctionStep(self.convertInputStep, depends_on[0], needsGPU=False)
        for last_epoch in self._blockEnds():
            self._insertFunctionStep(self.trainStep, *depends_on, last_epoch, needsGPU=True)
        self._insertFunctionStep(self.consensusStep, *depends_on, needsGPU=False)
        self._insertFunctionStep(self.createOutputStep, *depends_on, needsGPU=False)

    # --------------------------- STEPS functions -----------------------------
    def convertInputStep(self, source: str):
        """Write the particles as a star file; a run made from other particles goes."""
        from ..convert import write_particles_star

        shutil.rmtree(self.getRunFolder(), ignore_errors=True)
        write_particles_star(self.inputParticles.get(), self._starFile(), stack=self._getExtraPath("particles.mrcs"))

    def trainStep(self, source: str, recipe: str, settings: str, last_epoch: int | None):
        """Train up to the end of `last_epoch`, or to the end; a run made with other settings is started anew."""
        until = [] if last_epoch is None else ["--until-epoch", last_epoch]
        again = "--resume" if self._isRunOf(recipe, json.loads(settings)) else "--overwrite"
        try:
            self.runEngine(
                "train", self._starFile(), "--out", self.getRunFolder(), "--recipe", recipe, again, *until,
                *as_arguments(json.loads(settings)),
            )  # fmt: skip
        except EngineFailed:
            if last_epoch is None or not self._hasPausedAfter(last_epoch):
                raise

    def consensusStep(self, source: str, recipe: str, settings: str):
        """One map of all particles, with half-maps and their resolution."""
        images = {name: value for name, value in json.loads(settings).items() if name in IMAGE_SETTINGS}
        self.runEngine("reconstruct", self._starFile(), "--out", self._consensusPath(), *as_arguments(images))

    def createOutputStep(self, source: str, recipe: str, settings: str):
        """The particles with their latents, and the consensus map."""
        from ..convert import fill_flex_particles, latents_by_id, run_info, volume_object

        particles = self.inputParticles.get()
        run = Run.open(self.getRunFolder())
        volume = volume_object(self.getConsensusMap(), half_maps=[self._consensusPath(name) for name in HALVES])
        self._give(outputs.VOLUME, volume, self.inputParticles)
        if run.config.z_dim == 0:
            return
        flexible = SetOfParticlesFlex.create(self._getPath(), progName=PROGRAM_NAME)
        flexible.copyInfo(particles)
        run_info(run, flexible.getFlexInfo())
        fill_flex_particles(flexible, particles, latents_by_id(run))
        self._give(outputs.PARTICLES, flexible, self.inputParticles)

    # --------------------------- INFO functions ------------------------------
    def _validate(self):
        particles = self.inputParticles.get()
        errors = self._settingErrors(self._config)
        if not particles.hasAlignmentProj():
            errors.append("The particles have no orientations; run a 3D refinement first and use its particles.")
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
        if particles is not None and particles.getSize() < FEW_PARTICLES:
            return [
                f"There are only {particles.getSize():,} particles; motions are rarely found with fewer than a few "
                "thousand, so take the result as a trial."
            ]
        return []

    def _summary(self):
        run = self._openRun()
        if run is None:
            return ["The training has not started."]
        if not self.isFinished():
            return _progress(run)
        lines = [f"Recipe *{run.config.recipe}* on {self.inputParticles.get().getSize():,} particles."]
        volume = getattr(self, outputs.VOLUME, None)
        if volume is not None:
            lines.append(f"Maps are {volume.getXDim()} px of {volume.getSamplingRate():.2f} Å.")
        if run.config.z_dim:
            latents = run.latents()
            curve = ", with a position along the curve that was found" if latents.coordinate is not None else ""
            lines.append(f"{len(latents.z):,} particles have {run.config.z_dim} latent coordinates{curve}.")
        lines.append(f"Everything the engine wrote is in {self.getRunFolder()}.")
        return lines

    def _methods(self):
        run = self._openRun()
        if run is None or not self.isFinished():
            return []
        words = {
            "fast": "a linear subspace of conformations solved in closed form and a curve fitted in it",
            "paper": "a variational autoencoder with a structural-basis decoder (sparse Fourier backpropagation)",
            "cryodrgn": "a variational autoencoder with a coordinate-network decoder (cryoDRGN)",
            "homogeneous": "a single map",
        }
        latent = f" with {run.config.z_dim} latent dimensions" if run.config.z_dim else ""
        return [f"Heterogeneity was described by {words[run.config.recipe]}{latent}, seed {run.config.seed}."]

    def _citations(self):
        return ["Zhong2021"] if self._recipe() == "cryodrgn" else ["Kimanius2022"]

    # --------------------------- UTILS functions -----------------------------
    def getConsensusMap(self) -> str:
        return self._consensusPath("map.mrc")

    def _recipe(self) -> str:
        return RECIPES[self.recipe.get()]

    def _overrides(self) -> dict[str, Any]:
        """Settings that differ from the recipe's; what is typed as other settings beats the rest."""
        usual = config.recipe_config(self._recipe())
        given = {"device": "auto" if self.usesGpu() else "cpu", **chosen(self, SETTINGS)}
        differing = {name: value for name, value in given.items() if value != attrgetter(name)(usual)}
        return {**differing, **typed(self.otherSettings.get())}

    def _config(self) -> config.RunConfig:
        return config.recipe_config(self._recipe(), self._overrides())

    def _isRunOf(self, recipe: str, overrides: dict[str, Any]) -> bool:
        """Whether the run folder holds a run with exactly these settings, which can be resumed."""
        try:
            there = Run.open(self.getRunFolder()).config
        except EngineError:
            return False
        return there == config.recipe_config(recipe, {**overrides, "particles": self._starFile()})

    def _hasPausedAfter(self, epoch: int) -> bool:
        """Whether the engine stopped because this block of epochs is over."""
        run = self._openRun()
        done = run.metrics()[-1]["epoch"] if run and run.metrics() else 0
        return done >= epoch and run.status == "stopped"

    def _openRun(self) -> Run | None:
        try:
            return Run.open(self.getRunFolder())
        except EngineError:
            return None

    def _inputKey(self) -> str:
        """What tells one input from another: its object and how many particles it has."""
        particles = self.inputParticles.get()
        return f"{particles.getObjId()} {particles.getSize()}"

    def _blockEnds(self) -> list[int | None]:
        """Last epoch of each training step: several, so that the host's progress moves; one for the fast recipe."""
        if self._recipe() == "fast":
            return [None]
        epochs = self._config().training.epochs
        blocks = min(epochs, MAX_BLOCKS)
        return [epochs * block // blocks for block in range(1, blocks + 1)]

    def _starFile(self) -> str:
        return self._getExtraPath("particles.star")

    def _consensusPath(self, *names: str) -> str:
        return self._getExtraPath("consensus", *names)


def _progress(run: Run) -> list[str]:
    """How far a training is, from the figures of its last epoch."""
    rows = run.metrics()
    if not rows:
        return [f"The training is {run.status}."]
    figures = ", ".join(f"{name} {value:.4g}" for name, value in rows[-1].items() if name not in ("epoch", "seconds"))
    return [f"Epoch {rows[-1]['epoch']} of {run.config.training.epochs}: {figures}."]
