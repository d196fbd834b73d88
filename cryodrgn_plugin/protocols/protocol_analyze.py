"""Analysis of a training: classes, maps with their latent coordinates, and particles that carry both."""

import json
from pathlib import Path

from pwem.objects import SetOfClasses3D, SetOfParticlesFlex, SetOfVolumes, SetOfVolumesFlex
from pyworkflow import BETA
from pyworkflow.protocol import params
from pyworkflow.utils import Message

from ..constants import FLEX_RUN, PROGRAM_NAME
from ..engine.analysis.options import AnalysisOptions
from ..engine.run import Run
from . import outputs
from .protocol_base import ProtHetBase, addGroup
from .settings import FormSetting, chosen

CLASSES = (FormSetting("clusters", "clusters", "Number of clusters", AnalysisOptions),)
MAPS = (
    FormSetting("volumes", "volumes", "Make maps", AnalysisOptions),
    FormSetting("components", "components", "Principal components", AnalysisOptions, condition="volumes"),
    FormSetting("steps", "steps", "Maps along each", AnalysisOptions, condition="volumes"),
    FormSetting("halfMaps", "half_maps", "Write half-maps", AnalysisOptions, condition="volumes", expert=True),
)
EMBEDDING = (
    FormSetting("umap", "umap", "Embed with UMAP", AnalysisOptions),
    FormSetting("neighbors", "neighbors", "UMAP neighbours", AnalysisOptions, condition="umap", expert=True),
    FormSetting("umapLimit", "umap_limit", "UMAP fitted on at most", AnalysisOptions, condition="umap", expert=True),
)
FIGURES = FormSetting("figures", "figures", "Draw figures", AnalysisOptions, expert=True)
SEED = FormSetting("seed", "seed", "Random seed", AnalysisOptions, expert=True)
OPTIONS = (*CLASSES, *MAPS, *EMBEDDING, FIGURES, SEED)


class ProtHetAnalyze(ProtHetBase):
    """Look at what a training has found: clusters with a map each, maps along the motion, pictures of the latent space.

    The classes and their maps are ordinary Scipion objects, so that any refinement can go on from them. Open the
    results to explore the latent space and the maps side by side.
    """

    _label = "analyze heterogeneity"
    _possibleOutputs = outputs.ANALYZE_OUTPUTS
    _devStatus = BETA

    # --------------------------- DEFINE param functions ----------------------
    def _defineParams(self, form):
        form.addSection(label=Message.LABEL_INPUT)
        self._addGpuParams(form)
        form.addParam(
            "inputParticles", params.PointerParam, pointerClass="SetOfParticlesFlex", important=True,
            label="Trained particles",
            help="The particles that *train heterogeneity* gave, or a subset of them: the whole training is analysed, "
                 "and the outputs hold the particles of this set.",
        )  # fmt: skip
        addGroup(form, "Classes", CLASSES)
        addGroup(form, "Maps", MAPS)
        addGroup(form, "Picture of the latent space", EMBEDDING)
        FIGURES.add_to(form)
        SEED.add_to(form)
        self._addThreads(form)

    # --------------------------- INSERT steps functions ----------------------
    def _insertAllSteps(self):
        particles = self.inputParticles.get()
        source = f"{particles.getObjId()} {particles.getSize()} {self._trainedRun()}"
        options = json.dumps(chosen(self, OPTIONS), sort_keys=True)
        self._insertFunctionStep(self.linkRunStep, source, needsGPU=False)
        self._insertFunctionStep(self.analyzeStep, source, options, needsGPU=True)
        self._insertFunctionStep(self.createOutputStep, source, options, needsGPU=False)

    # --------------------------- STEPS functions -----------------------------
    def linkRunStep(self, source: str):
        """A run folder of our own that shares the training's files, so that several analyses stand side by side."""
        from ..convert import link_run

        link_run(Run.open(self._trainedRun()), Path(self.getRunFolder()))

    def analyzeStep(self, source: str, options: str):
        """Let the engine analyse the run."""
        self.runEngine("analyze", self.getRunFolder(), *_flags(json.loads(options)))

    def createOutputStep(self, source: str, options: str):
        """Maps, classes and particles, as far as they were made."""
        from ..convert import Analysis, latents_by_id

        run = Run.open(self.getRunFolder())
        analysis = Analysis.open(run)
        particles = self._particlesOutput(run, analysis, latents_by_id(run))
        if analysis.index["series"]:
            self._volumesOutput(analysis)
            self._classesOutput(analysis, particles)

    def _particlesOutput(self, run, analysis, found) -> SetOfParticlesFlex:
        from ..convert import fill_flex_particles, new_flex_particles

        particles = self.inputParticles.get()
        flexible = new_flex_particles(self._getPath(), particles, run)
        reduced = analysis.embedding.get("umap", analysis.embedding["pca"][:, :2])
        fill_flex_particles(flexible, particles, found, labels=analysis.labels, reduced=reduced)
        self._give(outputs.PARTICLES, flexible, self.inputParticles)
        return flexible

    def _volumesOutput(self, analysis) -> None:
        from ..convert import CLASS_SERIES, CURVE_SERIES, fill_flex_volumes, fill_volumes

        volumes = SetOfVolumes.create(self._getPath())
        fill_volumes(volumes, analysis, CLASS_SERIES)
        self._give(outputs.VOLUMES, volumes, self.inputParticles)
        flexible = SetOfVolumesFlex.create(self._getPath(), progName=PROGRAM_NAME)
        fill_flex_volumes(flexible, analysis, CLASS_SERIES)
        self._give(outputs.FLEX_VOLUMES, flexible, self.inputParticles)
        if analysis.series(CURVE_SERIES):
            trajectory = SetOfVolumesFlex.create(self._getPath(), suffix="curve", progName=PROGRAM_NAME)
            fill_flex_volumes(trajectory, analysis, CURVE_SERIES)
            self._give(outputs.TRAJECTORY, trajectory, self.inputParticles)

    def _classesOutput(self, analysis, particles: SetOfParticlesFlex) -> None:
        from ..convert import CLASS_SERIES, classify

        classes = SetOfClasses3D.create(self._getPath())
        classes.setImages(particles)
        maps = {number: analysis.path(entry["file"]) for number, entry in enumerate(analysis.series(CLASS_SERIES), 1)}
        classify(classes, maps)
        self._give(outputs.CLASSES, classes, self.inputParticles)

    # --------------------------- INFO functions ------------------------------
    def _validate(self):
        if self._trainedRun() is None:
            return ["These particles carry no training of this plugin; choose the output of train heterogeneity."]
        return self._settingErrors(lambda: Run.open(self._trainedRun()).latents()) + self._settingErrors(
            lambda: AnalysisOptions(**chosen(self, OPTIONS))
        )

    def _summary(self):
        if not self.isFinished():
            return ["The analysis has not finished."]
        from ..convert import Analysis

        analysis = Analysis.open(Run.open(self.getRunFolder()))
        shares = ", ".join(f"{item['share']:.0%}" for item in analysis.index["clusters"])
        lines = [f"{len(analysis.index['clusters'])} clusters hold {shares} of the particles."]
        for series in analysis.index["series"]:
            whole, moving = (_reach(series["maps"], key) for key in ("resolution_ang", "moving_resolution_ang"))
            limits = f", {whole} at half-map FSC 0.143" if whole else ""
            limits += f" ({moving} where they move)" if moving else ""
            lines.append(f"{len(series['maps'])} maps {series['title']}{limits}.")
        lines.append(f"Figures, particle lists and a ChimeraX script are in {analysis.folder}.")
        return lines

    def _methods(self):
        if not self.isFinished():
            return []
        return [f"The latent coordinates were grouped into {self.clusters.get()} clusters by k-means."]

    def _citations(self):
        return ["Zhong2021"]

    # --------------------------- UTILS functions -----------------------------
    def _trainedRun(self) -> str | None:
        """Folder of the run that gave the input its latents, relative to the project."""
        info = self.inputParticles.get().getFlexInfo()
        if info.getProgName() != PROGRAM_NAME or not info.hasAttribute(FLEX_RUN):
            return None
        return info.getAttr(FLEX_RUN)


def _reach(maps: list[dict], key: str) -> str:
    """The range of a resolution over maps, in angstrom; empty where none has it."""
    values = sorted({f"{item[key]['0.143']:.1f}" for item in maps if item.get(key)}, key=float)
    return f"{' to '.join(dict.fromkeys((values[0], values[-1])))} Å" if values else ""


def _flags(options: dict[str, object]) -> list[object]:
    """Analysis options as arguments: numbers by name, switches where they differ from the engine's default."""
    flags: list[object] = []
    for name, value in options.items():
        flag = name.replace("_", "-")
        default = getattr(AnalysisOptions(), name)
        if not isinstance(default, bool):
            flags += [f"--{flag}", value]
        elif value != default:
            flags.append(f"--{flag}" if value else f"--no-{flag}")
    return flags
