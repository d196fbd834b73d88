"""Ab initio: particles without poses in; their poses, maps in both hands and, if asked for, latents or species out."""

import itertools
import json
import os
from functools import partial

from pwem.objects import SetOfClasses3D, SetOfParticles, SetOfVolumes, Volume
from pyworkflow import BETA
from pyworkflow.protocol import params
from pyworkflow.utils import Message

from ..engine.run import Run
from . import outputs
from .form_settings import POSE_RECIPES, RECIPE_LABELS, FormSetting, as_arguments
from .protocol_base import addGroup
from .protocol_fit import ProtHetFit, image_settings
from .training_state import how_it_stands

TARGETS = ("one rigid molecule", "one molecule that moves", "several species")
RIGID, MOVING, MIXTURE = range(3)
AUTO = "auto"
"""Number of species that the data decide."""
_SERIES = ("ab initio", "ab initio, other hand")
"""Series of the explorer: maps as they were found, and mirrored."""

_Setting = partial(FormSetting, recipes=POSE_RECIPES, menu=POSE_RECIPES)
_InAbInitio = partial(FormSetting, recipes=("abinitio",), menu=POSE_RECIPES)

IMAGES = image_settings(POSE_RECIPES)
LATENT = _Setting("zDim", "z_dim", "Latent dimensions", condition=f"target == {MOVING}")
SEARCH = (
    _InAbInitio("conformers", "ab_initio.conformers", "Conformers", condition=f"target == {MOVING}"),
    _InAbInitio("rounds", "ab_initio.rounds", "Rounds"),
    _InAbInitio("starts", "ab_initio.starts", "Random starts"),
    _Setting("shiftExtent", "poses.shift_extent", "Largest shift (share of the box)"),
    _Setting("spacing", "poses.spacing_deg", "First spacing of rotations (degrees)", expert=True),
    _Setting("levels", "poses.levels", "Refinements of the grid", expert=True),
    _Setting("kept", "poses.kept", "Poses refined per image", expert=True),
    _Setting("shiftSteps", "poses.shift_steps", "Shifts tried along each axis", expert=True),
    _Setting("firstRadius", "poses.first_radius", "First Fourier shell", expert=True),
    _Setting("lastRadius", "poses.last_radius", "Last Fourier shell", expert=True),
)
SEED = _Setting("seed", "seed", "Random seed", expert=True)
SETTINGS = (*IMAGES, *SEARCH, LATENT, SEED)


class ProtHetAbInitio(ProtHetFit):
    """Find the orientations of particles together with the maps they show, from nothing.

    One rigid molecule gives an initial volume; one that moves gives latent coordinates as well; several species are
    told apart while their maps are found. Images cannot tell the hand, so every map comes in both. The particles go on
    to any 3D refinement with the map, to *refine poses*, or to *train heterogeneity*.
    """

    _label = "ab initio maps"
    _possibleOutputs = outputs.AB_INITIO_OUTPUTS
    _devStatus = BETA
    RECIPES = POSE_RECIPES
    SETTINGS = SETTINGS

    # --------------------------- DEFINE param functions ----------------------
    def _defineParams(self, form):
        form.addSection(label=Message.LABEL_INPUT)
        self._addGpuParams(form)
        form.addParam(
            "inputParticles", params.PointerParam, pointerClass="SetOfParticles", important=True,
            label="Input particles",
            help="Particles with CTF. Orientations that they may have are ignored. Results are matched to them by "
                 "their id.",
        )  # fmt: skip
        form.addParam(
            "target", params.EnumParam, choices=list(TARGETS), default=RIGID, label="Look for",
            help="*One rigid molecule*: poses and one map; start here. *One molecule that moves*: latent coordinates "
                 "beside the poses. *Several species*: different molecules, or states of one that do not blend, each "
                 "with its own map.",
        )  # fmt: skip
        form.addParam(
            "species", params.StringParam, default=AUTO, condition=f"target == {MIXTURE}", label="Number of species",
            help=f"A number, or *{AUTO}*: the data decide, up to the setting ab_initio.most_species. Of each "
                 "species come its map in both hands, its particles as a class, and how probable it is for each of "
                 "them; the figure *species* of the explorer shows all of them.",
        )  # fmt: skip
        LATENT.add_to(form)
        form.addParam(
            "recipe", params.EnumParam, choices=[RECIPE_LABELS[name] for name in POSE_RECIPES],
            default=POSE_RECIPES.index("abinitio"), expertLevel=params.LEVEL_ADVANCED, label="Recipe",
            help="*abinitio* searches against voxel maps that have a closed form, and takes minutes without a GPU. The "
                 "others find poses with neural networks; they are slow without a GPU.",
        )  # fmt: skip
        addGroup(form, "Images", IMAGES)
        form.addSection(label="Method")
        addGroup(form, "Search for poses", SEARCH)
        SEED.add_to(form)
        self._addOtherSettings(form)
        self._addThreads(form)

    # --------------------------- INSERT steps functions ----------------------
    def _insertAllSteps(self):
        # Scipion compares steps one by one, so each carries everything its result depends on.
        depends_on = (self._inputKey(), self._recipe(), json.dumps(self._overrides(), sort_keys=True))
        self._insertFunctionStep(self.convertInputStep, depends_on[0], needsGPU=False)
        self._insertFunctionStep(self.searchStep, *depends_on, needsGPU=True)
        if self._recipe() != "abinitio":
            self._insertFunctionStep(self.consensusStep, *depends_on, needsGPU=False)
        self._insertFunctionStep(self.createOutputStep, *depends_on, needsGPU=False)

    # --------------------------- STEPS functions -----------------------------
    def searchStep(self, source: str, recipe: str, settings: str):
        """Find poses and maps; a run made with other settings is started anew."""
        overrides = json.loads(settings)
        self.runEngine(
            "abinitio", self._starFile(), "--out", self.getRunFolder(), "--recipe", recipe,
            self._again(recipe, overrides), *as_arguments(overrides),
        )  # fmt: skip

    def consensusStep(self, source: str, recipe: str, settings: str):
        """One map from the poses that were found, with half-maps and their resolution."""
        self._reconstruct(self._posesFile(), json.loads(settings))

    def createOutputStep(self, source: str, recipe: str, settings: str):
        """Particles with their poses, the initial volume, the maps in both hands and, for species, classes."""
        particles = self._posedOutput()
        self._give(outputs.VOLUME, self._initialVolume(), self.inputParticles)
        if self._mapFiles():
            self._volumesOutput()
        if self._hasSpecies():
            self._classesOutput(particles)

    def _posedOutput(self) -> SetOfParticles:
        from ..convert import fill_flex_particles, latents_by_id, new_flex_particles, posed_particles

        run = Run.open(self.getRunFolder())
        source = self.inputParticles.get()
        particles = posed_particles(source, self._posesFile(), with_class=self._hasSpecies())
        if run.config.z_dim:
            posed = new_flex_particles(self._getPath(), source, run)
            fill_flex_particles(posed, particles, latents_by_id(run))
        else:
            posed = SetOfParticles.create(self._getPath())
            posed.copyInfo(source)
            for particle in particles:
                posed.append(particle)
        posed.setAlignmentProj()
        self._give(outputs.PARTICLES, posed, self.inputParticles)
        return posed

    def _volumesOutput(self) -> None:
        from ..convert import volume_object

        volumes = SetOfVolumes.create(self._getPath())
        for label, path in self._mapFiles():
            volume = volume_object(path)
            volume.setObjLabel(label)
            volumes.setSamplingRate(volume.getSamplingRate())
            volumes.append(volume)
        self._give(outputs.VOLUMES, volumes, self.inputParticles)

    def _classesOutput(self, particles: SetOfParticles) -> None:
        """One class per species, with its map."""
        from ..convert import class_sizes, classify

        classes = SetOfClasses3D.create(self._getPath())
        classes.setImages(particles)
        classify(classes, {number: self._mapFile(number) for number in class_sizes(self._posesFile())})
        self._give(outputs.CLASSES, classes, self.inputParticles)

    def _initialVolume(self) -> Volume:
        """The map of the molecule, or of the largest species, with its half-maps."""
        from ..convert import class_sizes, volume_object

        if self._recipe() != "abinitio":
            return self._consensusVolume()
        sizes = class_sizes(self._posesFile()) if self._hasSpecies() else {1: 0}
        largest = max(sizes, key=lambda number: sizes[number])
        halves = [self._mapFile(largest, which) for which in ("half1", "half2")]
        return volume_object(self._mapFile(largest), half_maps=halves)

    # --------------------------- INFO functions ------------------------------
    def _validate(self):
        errors = self._inputErrors()
        if self.target.get() == MIXTURE and self._species() is None:
            errors.append(f"The number of species is {self.species.get()!r}; give a number of at least 1, or {AUTO}.")
        if self.target.get() == MIXTURE and self._recipe() != "abinitio":
            errors.append("Only the recipe abinitio tells species apart; choose it, or look for one molecule.")
        return errors

    def _summary(self):
        run = self._openRun()
        if run is None:
            return ["The search has not started."]
        if not self.isFinished():
            return how_it_stands(run, self.isActive(), self._extentAng(), can_be_kept=False)
        particles, volume = (getattr(self, name) for name in (outputs.PARTICLES, outputs.VOLUME))
        lines = [(f"{particles.getSize():,} particles have poses; maps are {volume.getXDim()} px of "
                 f"{volume.getSamplingRate():.2f} Å.")]  # fmt: skip
        if self._hasSpecies():
            from ..convert import class_sizes

            sizes = class_sizes(self._posesFile())
            shares = ", ".join(f"{size / particles.getSize():.0%}" for size in sizes.values())
            lines.append(f"{len(sizes)} species hold {shares} of them.")
            lines += self._howSure(run)
        reached = run.info.get("notes", {}).get("resolution_ang", [])
        if reached:
            limits = ", ".join(f"{resolution:.1f}" for resolution in reached)
            lines.append(f"Half-maps agree up to {limits} Å (FSC 0.143).")
        lines.append("Images do not tell the hand: the set of volumes has every map in both.")
        lines.append(f"Everything the engine wrote is in {self.getRunFolder()}.")
        return lines

    def _howSure(self, run: Run) -> list[str]:
        """How many particles are surely of their species, and how many no map explains."""
        if not run.has_results("species"):
            return []
        told = run.results("species").index
        sure, unexplained = (sum(kind[name] for kind in told["species"]) for name in ("sure", "unexplained"))
        return [(f"{sure:,} particles are of their species with a probability of {told['sure_from']:g} or more; "
                 f"{unexplained:,} are explained by no map.")]  # fmt: skip

    def _methods(self):
        if not self.isFinished():
            return []
        return [f"Orientations and maps of {TARGETS[self.target.get()]} were found ab initio, recipe {self._recipe()}."]

    def _citations(self):
        return ["Zhong2021", "Kimanius2022"]

    # --------------------------- UTILS functions -----------------------------
    def _formSettings(self):
        target = self.target.get()
        species = self._species() if target == MIXTURE else 1
        rigid = {} if target == MOVING else {"z_dim": 0}
        return {**super()._formSettings(), **rigid, "ab_initio.species": species}

    def _species(self) -> int | None:
        """Their number, 0 where the data decide; None where the form has something else."""
        word = str(self.species.get()).strip().lower()
        if word in (AUTO, "0"):
            return 0
        return int(word) if word.isdecimal() and len(word) < 10 else None

    def _hasSpecies(self) -> bool:
        return self._config().ab_initio.species != 1

    def getConsensusMap(self) -> str:
        return "" if self._recipe() == "abinitio" else super().getConsensusMap()

    def getMaps(self) -> list[tuple[str, str, str]]:
        ab_initio = [(_SERIES["other hand" in label], label, path) for label, path in self._mapFiles()]
        return super().getMaps() + ab_initio

    def _posesFile(self) -> str:
        return str(Run.open(self.getRunFolder()).poses_file)

    def _mapFile(self, number: int, which: str = "") -> str:
        return str(Run.open(self.getRunFolder()).found_map_file(number, which))

    def _mapFiles(self) -> list[tuple[str, str]]:
        """Label and file of each species' map, each followed by its other hand."""
        labelled: list[tuple[str, str]] = []
        for number in itertools.count(1):
            if not os.path.exists(self._mapFile(number)):
                break
            label = f"species {number}" if self._hasSpecies() else "map"
            labelled += [(label, self._mapFile(number)), (f"{label}, other hand", self._mapFile(number, "other_hand"))]
        return labelled
