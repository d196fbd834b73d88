"""Training: particles with poses in, a latent coordinate per particle and a consensus map out."""

import json
from pathlib import Path
from typing import Any

from pyworkflow import BETA
from pyworkflow.protocol import params
from pyworkflow.utils import Message

from ..engine import config
from ..engine.run import Run
from . import outputs
from .form_settings import RECIPE_LABELS, RECIPES, as_arguments
from .protocol_base import EngineFailed, addGroup
from .protocol_fit import ProtHetFit
from .trained import trained_run
from .training_settings import (
    ATOMS,
    CLOSED_FORM,
    DECODER,
    FOUND_MOTION,
    IMAGES,
    LATENT,
    OF_ATOMS,
    SEED,
    SETTINGS,
    TRAINING,
)
from .training_state import ended_early, how_it_stands

MAX_BLOCKS = 5


class ProtHetTrain(ProtHetFit):
    """Find how the particles of a refined set differ: a latent coordinate for each particle, and the maps behind it.

    The particles need orientations from a 3D refinement and a CTF. The recipe *fast* solves the problem in closed form
    and takes minutes without a GPU; *paper* and *cryodrgn* train networks and are better with one; *homogeneous* makes
    a single map, a check that poses, CTF and pixel size are right. *atoms* and *cryofold* move an atomic model,
    *refined_atoms* one whose motion *atomic heterogeneity* has found.
    """

    _label = "train heterogeneity"
    _possibleOutputs = outputs.TRAIN_OUTPUTS
    _devStatus = BETA
    RECIPES = RECIPES
    SETTINGS = SETTINGS

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
            "recipe", params.EnumParam, choices=[RECIPE_LABELS[name] for name in RECIPES],
            default=RECIPES.index("fast"),
            label="Recipe", help=config.setting("recipe").help,
        )  # fmt: skip
        LATENT.add_to(form)
        addGroup(form, "Images", IMAGES)
        form.addSection(label="Method")
        addGroup(form, "Closed forms", CLOSED_FORM, condition="recipe==0")
        form.addParam(
            "focusMask", params.PointerParam, pointerClass="VolumeMask", allowsNull=True, condition="recipe==0",
            label="Focus mask",
            help="Look at what lies inside of this mask only, and take whatever else moves for a nuisance: when a "
                 "small part comes and goes, or moves, beside larger motions elsewhere. The mask has the box and pixel "
                 "size of the particles. A sphere can be given instead, as an expert setting. A mask that numbers its "
                 "parts 1, 2, … gives each of them a latent space, as more masks do; the explorer lets masks be drawn.",
        )  # fmt: skip
        form.addParam(
            "moreMasks", params.MultiPointerParam, pointerClass="VolumeMask", allowsNull=True, condition="recipe==0",
            label="More focus masks",
            help="Other parts to look at, each with a latent space and an output of its own. What moves in one is "
                 "a nuisance to the others, and it is told whether they move together.",
        )  # fmt: skip
        addGroup(form, "Training", TRAINING, condition="recipe!=0")
        addGroup(form, "Decoder", DECODER)
        addGroup(form, "Atoms", ATOMS, condition=f"recipe in {[RECIPES.index(name) for name in OF_ATOMS]}")
        form.addParam(
            "foundMotion", params.PointerParam, pointerClass="SetOfParticlesFlex", allowsNull=True,
            condition=f"recipe=={RECIPES.index(FOUND_MOTION)}", label="Start from",
            help="Particles of *atomic heterogeneity* on a training of the input particles: its model, its motion and "
                 "their latent coordinates are where this training begins.",
        )  # fmt: skip
        SEED.add_to(form)
        self._addOtherSettings(form)
        self._addThreads(form)

    # --------------------------- INSERT steps functions ----------------------
    def _insertAllSteps(self):
        # Scipion compares steps one by one, so each carries everything its result depends on.
        depends_on = (
            self._inputKey(),
            self._recipe(),
            json.dumps(self._overrides(), sort_keys=True),
            self._begunAfter(),
        )
        self._insertFunctionStep(self.convertInputStep, depends_on[0], needsGPU=False)
        for last_epoch in self._blockEnds():
            self._insertFunctionStep(self.trainStep, *depends_on, last_epoch, needsGPU=True)
        self._insertFunctionStep(self.consensusStep, *depends_on, needsGPU=False)
        self._insertFunctionStep(self.createOutputStep, *depends_on, needsGPU=False)

    # --------------------------- STEPS functions -----------------------------
    def trainStep(self, source: str, recipe: str, settings: str, begun_after: str, last_epoch: int | None):
        """Train up to the end of `last_epoch`, or to the end; a run made with other settings is started anew.

        A training that was ended early since these steps began is over, and the blocks that are left are passed over.
        """
        if self._endedEarlySince(begun_after):
            return
        again = self._again(recipe, json.loads(settings))
        if again == "--resume" and last_epoch in self._blockEnds()[:-1] and self._epochsDone() >= last_epoch:
            return  # of a training that goes on, or is extended
        until = [] if last_epoch is None else ["--until-epoch", last_epoch]
        try:
            self.runEngine(
                "train", self._starFile(), "--out", self.getRunFolder(), "--recipe", recipe,
                again, *until, *as_arguments(json.loads(settings)),
            )  # fmt: skip
        except EngineFailed:
            paused = last_epoch is not None and self._hasPausedAfter(last_epoch)
            if not paused and not self._endedEarlySince(begun_after):
                raise

    def consensusStep(self, source: str, recipe: str, settings: str, begun_after: str):
        """One map of all particles, with half-maps and their resolution."""
        self._reconstruct(self._posesFile() or self._starFile(), json.loads(settings))

    def createOutputStep(self, source: str, recipe: str, settings: str, begun_after: str):
        """The particles with their latents, and with poses where these were found anew, and the consensus map."""
        from ..convert import fill_flex_particles, latents_by_id, new_flex_particles, posed_particles

        particles = self.inputParticles.get()
        run = Run.open(self.getRunFolder())
        self._give(outputs.VOLUME, self._consensusVolume(), self.inputParticles)
        if run.config.z_dim == 0:
            return
        flexible = new_flex_particles(self._getPath(), particles, run)
        posed = posed_particles(particles, self._posesFile()) if self._posesFile() else particles
        fill_flex_particles(flexible, posed, latents_by_id(run))
        self._give(outputs.PARTICLES, flexible, self.inputParticles)
        for folder in run.region_dirs:
            of_region = Run.open(folder)
            flexible = new_flex_particles(self._getPath(), particles, of_region, suffix=f"_{folder.name}")
            fill_flex_particles(flexible, posed, latents_by_id(of_region))
            self._give(f"{outputs.PARTICLES}_{folder.name.replace('-', '_')}", flexible, self.inputParticles)

    # --------------------------- INFO functions ------------------------------
    def _validate(self):
        errors = self._inputErrors()
        if not self.inputParticles.get().hasAlignmentProj():
            errors.append(
                "The particles have no orientations; find them with ab initio maps, or run a 3D refinement first and "
                "use its particles."
            )
        if self._recipe() == FOUND_MOTION and trained_run(self.foundMotion.get()) is None:
            errors.append(
                f"The recipe {FOUND_MOTION} starts from a motion that was found; choose particles of atomic "
                "heterogeneity as what to start from."
            )
        return errors

    def _summary(self):
        run = self._openRun()
        if run is None:
            return ["The training has not started."]
        if not self.isFinished():
            return how_it_stands(run, self.isActive(), self._extentAng())
        lines = [
            *ended_early(run),
            f"Recipe *{run.config.recipe}* on {self.inputParticles.get().getSize():,} particles.",
        ]
        volume = getattr(self, outputs.VOLUME, None)
        if volume is not None:
            lines.append(f"Maps are {volume.getXDim()} px of {volume.getSamplingRate():.2f} Å.")
        if run.config.z_dim:
            latents = run.latents()
            curve = ", with a position along the curve that was found" if latents.coordinate is not None else ""
            lines.append(f"{len(latents.z):,} particles have {latents.z.shape[1]} latent coordinates{curve}.")
            lines += [
                line for of in ("parts", "regions") for line in run.info.get("notes", {}).get(f"said_of_{of}", [])
            ]
        if run.info.get("notes", {}).get("collapsed"):
            lines.append(f"*All of them lie at about one point; the end of {run.log_file} says what to try.*")
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
            **dict.fromkeys(OF_ATOMS, "an atomic model whose beads a network moves (Cryofold)"),
        }
        latent = f" with {run.config.z_dim} latent dimensions" if run.config.z_dim else ""
        return [f"Heterogeneity was described by {words[run.config.recipe]}{latent}, seed {run.config.seed}."]

    def _citations(self):
        return ["Zhong2021"] if self._recipe() == "cryodrgn" else ["Kimanius2022"]

    # --------------------------- UTILS functions -----------------------------
    def _formSettings(self) -> dict[str, Any]:
        """The settings that the form determines; masks beat spheres."""
        masks = self._masks() if self._recipe() == "fast" else []
        focus = {"closed_form.focus": ";".join(masks)} if masks else {}
        return {**super()._formSettings(), **focus, **self._startSettings()}

    def _startSettings(self) -> dict[str, Any]:
        """The motion that a training of atoms begins with; it has the latent dimensions of the run that found it."""
        found = trained_run(self.foundMotion.get()) if self._recipe() == FOUND_MOTION else None
        return {"atoms.start_from": found, "z_dim": Run.open(found).latents().z.shape[1]} if found else {}

    def _masks(self) -> list[str]:
        """The masks of the focus: files of one name are told apart by number."""
        chosen = [self.focusMask.get(), *(pointer.get() for pointer in self.moreMasks)]
        files = [mask.getFileName() for mask in chosen if mask is not None]
        if len({Path(file).stem for file in files}) < len(files):
            return [f"part_{number}={file}" for number, file in enumerate(files, start=1)]
        return files

    def _posesFile(self) -> str:
        """The star file of the poses that the training has found, or nothing where it took them as they were."""
        poses = Run.open(self.getRunFolder()).poses_file
        return str(poses) if poses.exists() else ""

    def _hasPausedAfter(self, epoch: int) -> bool:
        """Whether the engine stopped because this block of epochs is over."""
        return self._epochsDone() >= epoch and self._openRun().status == "stopped"

    def _epochsDone(self) -> int:
        run = self._openRun()
        return run.metrics()[-1]["epoch"] if run is not None and run.metrics() else 0

    def _begunAfter(self) -> str:
        """The early end that the training goes on from, so that *Continue* renews the steps; empty without one."""
        run = self._openRun()
        return run.session if run is not None and run.ended_early else ""

    def _endedEarlySince(self, begun_after: str) -> bool:
        return self._begunAfter() not in ("", begun_after)

    def _blockEnds(self) -> list[int | None]:
        """Last epoch of each training step: several, so that the host's progress moves; one for the fast recipe."""
        if self._recipe() == "fast":
            return [None]
        epochs = self._config().training.epochs
        blocks = min(epochs, MAX_BLOCKS)
        return [epochs * block // blocks for block in range(1, blocks + 1)]
