"""The landscape of a training: every particle in the space of volumes, clusters with maps, states with populations."""

from functools import partial

from pyworkflow import BETA
from pyworkflow.protocol import params

from ..engine.options import LandscapeOptions
from ..engine.result_kinds import CLUSTER_SERIES, STATE_SERIES
from . import outputs
from .form_settings import FormSetting
from .protocol_base import addGroup
from .protocol_run import ProtHetOnRun
from .trained import trained_run

UNION, MOVING, GIVEN = range(3)
REGIONS = ("wherever there is density", "where the maps differ", "inside a mask")


_setting = partial(FormSetting, source=LandscapeOptions)


CLUSTERS = (
    _setting("clusters", "clusters", "Number of clusters"),
    _setting("groupBy", "group_by", "Clusters are", expert=True),
    _setting("linkage", "linkage", "Linkage", expert=True),
    _setting("states", "states", "Mixture states"),
    _setting("mostStates", "most_states", "At most (states)", expert=True),
    _setting("bootstrap", "bootstrap", "Resamplings", expert=True),
)
SPACE = (
    _setting("method", "method", "Method", expert=True),
    _setting("components", "components", "Principal components"),
    _setting("sketch", "sketch", "Volumes of the sketch", expert=True),
    _setting("mapped", "mapped", "Volumes to learn from", expert=True),
)
MAPS = (
    _setting("volumes", "volumes", "Make maps"),
    _setting("walks", "walks", "Components to walk along", condition="volumes"),
    _setting("steps", "steps", "Maps along each", condition="volumes"),
)
FIGURES = _setting("figures", "figures", "Draw figures", expert=True)
SEED = _setting("seed", "seed", "Random seed", expert=True)
OPTIONS = (*CLUSTERS, *SPACE, *MAPS, FIGURES, SEED)


class ProtHetLandscape(ProtHetOnRun):
    """Place every particle in the space of volumes, where distances mean something, and count states.

    Clusters keep rare states apart, a Gaussian mixture gives populations with intervals, and the picture shows
    −ln(density). The clusters are classes with a map each, so that any refinement can go on from them.
    """

    _label = "landscape"
    _possibleOutputs = outputs.LANDSCAPE_OUTPUTS
    _devStatus = BETA
    COMMAND, OPTIONS_OF, OPTIONS, MAKES = "landscape", LandscapeOptions, OPTIONS, "landscape"

    # --------------------------- DEFINE param functions ----------------------
    def _defineParams(self, form):
        self._addTrained(form)
        form.addParam(
            "region", params.EnumParam, choices=list(REGIONS), default=UNION, label="Compare volumes",
            help="Which voxels count. *Where the maps differ* looks at the moving region alone; a mask looks where you "
                 "say, at a ligand for instance.",
        )  # fmt: skip
        form.addParam(
            "inputMask", params.PointerParam, pointerClass="VolumeMask", allowsNull=True,
            condition=f"region == {GIVEN}", label="Mask", help="A mask in the box and pixel size of the maps.",
        )  # fmt: skip
        addGroup(form, "Clusters and states", CLUSTERS)
        form.addParam(
            "likeParticles", params.PointerParam, pointerClass="SetOfParticlesFlex", allowsNull=True,
            expertLevel=params.LEVEL_ADVANCED, label="Number clusters as in",
            help="The particles that another *landscape* gave, say of another seed or training of the same particles: "
                 "clusters and states get the numbers of those there with which they share most particles.",
        )  # fmt: skip
        addGroup(form, "Space of volumes", SPACE)
        addGroup(form, "Maps", MAPS)
        FIGURES.add_to(form)
        SEED.add_to(form)
        self._addThreads(form)

    # --------------------------- STEPS functions -----------------------------
    def createOutputStep(self, source: str, options: str):
        """Particles with their cluster and first two components, and the clusters' maps and classes."""
        landscape = self._ownRun().results("landscape")
        reduced = landscape.arrays["pca"][:, :2]
        reduced = reduced if reduced.shape[1] == 2 else None
        filled = {"reduced": reduced, "probability": landscape.arrays.get("class_probability")}
        particles = self._flexOutput(outputs.PARTICLES, labels=landscape.labels, **filled)
        if not landscape.all_series:
            return
        self._mapsOutput(landscape, CLUSTER_SERIES)
        self._classesOutput(landscape, particles)
        if landscape.series(STATE_SERIES):
            self._volumesOutput(outputs.STATES, landscape, STATE_SERIES, suffix="states")

    # --------------------------- INFO functions ------------------------------
    def _validate(self):
        if self.region.get() == GIVEN and self.inputMask.get() is None:
            return ["Choose a mask, or compare the volumes elsewhere than inside one."]
        like = self.likeParticles.get()
        if like is not None and trained_run(like) is None:
            return ["The particles to number clusters by carry no training of this plugin; leave that field empty."]
        return super()._validate()

    def _summary(self):
        if not self.isFinished():
            return ["The landscape has not finished."]
        landscape = self._ownRun().results("landscape")
        index = landscape.index
        explained = index["pca"]["explained"]
        kept = f"{len(explained)} principal component{'s' * (len(explained) != 1)} of the volumes"
        lines = [f"{kept} ({index['method']}) hold {sum(explained):.0%} of the variance."]
        lines += [*self._grouped(landscape), f"The clusters hold {_shares(index['clusters'])} of the particles."]
        if index["states"]:
            lines.append(f"{len(index['states'])} mixture states hold {_shares(index['states'])} (95 % intervals).")
        lines += [f"*{sentence}*" for sentence in index.get("cautions", [])]
        lines.append(f"Figures, particle lists and a ChimeraX script are in {landscape.folder}.")
        return lines

    def _methods(self):
        if not self.isFinished():
            return []
        compared = "Particles were compared by the volumes they show (principal components inside a mask)."
        return [compared, *self._grouped(self._ownRun().results("landscape"))]

    def _citations(self):
        return ["Kimanius2022", "Zhong2021"]

    # --------------------------- UTILS functions -----------------------------
    def _options(self):
        mask = {UNION: "", MOVING: "moving", GIVEN: self._maskFile()}[self.region.get()]
        return {**super()._options(), "mask": mask, "match": trained_run(self.likeParticles.get()) or ""}

    def _maskFile(self) -> str:
        mask = self.inputMask.get()
        return "" if mask is None else mask.getFileName()


def _shares(groups: list[dict]) -> str:
    """`61 % (59–63), 39 % (37–41)`."""
    return ", ".join(
        f"{100 * group['share']:.3g} % ({100 * group['interval'][0]:.3g}–{100 * group['interval'][1]:.3g})"
        for group in groups
    )
