"""Analysis of a training: classes, maps with their latent coordinates, and particles that carry both."""

from pwem.objects import SetOfParticlesFlex
from pyworkflow import BETA

from ..engine.options import AnalysisOptions
from ..engine.result_kinds import CURVE_SERIES
from . import outputs
from .form_settings import FormSetting
from .protocol_base import addGroup
from .protocol_run import ProtHetOnRun, reach

CLASSES = (
    FormSetting("clusters", "clusters", "Number of classes", AnalysisOptions),
    FormSetting("groupBy", "group_by", "Classes are", AnalysisOptions, expert=True),
)
MAPS = (
    FormSetting("volumes", "volumes", "Make maps", AnalysisOptions),
    FormSetting("components", "components", "Principal components", AnalysisOptions, condition="volumes"),
    FormSetting("steps", "steps", "Maps along each", AnalysisOptions, condition="volumes"),
    FormSetting("expected", "expected", "Measure expected FSC", AnalysisOptions, condition="volumes"),
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


class ProtHetAnalyze(ProtHetOnRun):
    """Look at what a training has found: clusters with a map each, maps along the motion, pictures of the latent space.

    The classes and their maps are ordinary Scipion objects, so that any refinement can go on from them. Open the
    results to explore the latent space and the maps side by side.
    """

    _label = "analyze heterogeneity"
    _possibleOutputs = outputs.ANALYZE_OUTPUTS
    _devStatus = BETA
    COMMAND, OPTIONS_OF, OPTIONS, MAKES = "analyze", AnalysisOptions, OPTIONS, "analysis"

    # --------------------------- DEFINE param functions ----------------------
    def _defineParams(self, form):
        self._addTrained(form)
        addGroup(form, "Classes", CLASSES)
        addGroup(form, "Maps", MAPS)
        addGroup(form, "Picture of the latent space", EMBEDDING)
        FIGURES.add_to(form)
        SEED.add_to(form)
        self._addThreads(form)

    # --------------------------- STEPS functions -----------------------------
    def createOutputStep(self, source: str, options: str):
        """Maps, classes and particles, as far as they were made."""
        analysis = self._ownRun().results("analysis")
        particles = self._particlesOutput(analysis)
        if analysis.class_series:
            self._mapsOutput(analysis, analysis.class_series["name"])
            if analysis.series(CURVE_SERIES):
                self._flexVolumesOutput(outputs.TRAJECTORY, analysis, CURVE_SERIES, suffix="curve")
            self._classesOutput(analysis, particles)

    def _particlesOutput(self, analysis) -> SetOfParticlesFlex:
        reduced = analysis.arrays.get("umap", analysis.arrays["pca"][:, :2])
        probability = analysis.arrays.get("class_probability")
        return self._flexOutput(outputs.PARTICLES, labels=analysis.labels, reduced=reduced, probability=probability)

    # --------------------------- INFO functions ------------------------------
    def _summary(self):
        if not self.isFinished():
            return ["The analysis has not finished."]
        analysis = self._ownRun().results("analysis")
        shares = ", ".join(f"{item['share']:.0%}" for item in analysis.clusters)
        lines = [*self._grouped(analysis), f"The classes hold {shares} of the particles."]
        for series in analysis.all_series:
            limits = ""
            for prefix, at in (("expected_", "expected FSC 0.5 to the truth"), ("", "half-map FSC 0.143")):
                whole, moving = (reach(series["maps"], f"{part}{prefix}resolution_ang") for part in ("", "moving_"))
                limits += f", {whole} at {at}" if whole else ""
                limits += f" ({moving} where they move)" if moving else ""
            lines.append(f"{len(series['maps'])} maps {series['title']}{limits}.")
        lines += [f"*{sentence}*" for sentence in analysis.index.get("cautions", [])]
        lines.append(f"Figures, particle lists and a ChimeraX script are in {analysis.folder}.")
        return lines

    def _methods(self):
        if not self.isFinished():
            return []
        return self._grouped(self._ownRun().results("analysis"))

    def _citations(self):
        return ["Zhong2021"]
