"""A path through the latent space of a training, with maps along it."""

from functools import partial

from pyworkflow import BETA
from pyworkflow.protocol import params

from ..engine.options import TrajectoryOptions
from ..engine.result_kinds import PATH_SERIES
from ..engine.run import Run
from . import outputs
from .form_settings import FormSetting
from .protocol_base import addGroup
from .protocol_run import ProtHetOnRun, reach

_setting = partial(FormSetting, source=TrajectoryOptions)


KIND = _setting("kind", "kind", "Path")
PC, POINTS, GRAPH, DENSITY = (KIND.choices.index(kind) for kind in ("pc", "points", "graph", "density"))
COMPONENT = _setting("component", "component", "Principal component", condition=f"kind != {POINTS}")
NEIGHBOURS = (
    _setting("neighbors", "neighbors", "Neighbours per particle", condition=f"kind in ({GRAPH}, {DENSITY})"),
    _setting("space", "space", "Distances in", condition=f"kind in ({GRAPH}, {DENSITY})"),
    _setting("limit", "limit", "Particles in the graph", condition=f"kind in ({GRAPH}, {DENSITY})", expert=True),
)
MAPS = (
    _setting("steps", "steps", "Maps along the path"),
    _setting("halfMaps", "half_maps", "Write half-maps"),
    _setting("movie", "movie", "Make a movie"),
)
FIGURES = _setting("figures", "figures", "Draw figures", expert=True)
SEED = _setting("seed", "seed", "Random seed", expert=True)
OPTIONS = (KIND, COMPONENT, *NEIGHBOURS, *MAPS, FIGURES, SEED)
NAME = "path"
"""Of the trajectory's folder in our run."""


class ProtHetTrajectory(ProtHetOnRun):
    """Walk through the latent space, from particle to particle or along a component, and make the maps on the way.

    A path from particle to neighbouring particle, or where most particles are, shows shapes that were seen; a straight
    line may lead through shapes that never occur. It says nothing of the order in which a molecule takes them.
    """

    _label = "trajectory"
    _possibleOutputs = outputs.TRAJECTORY_OUTPUTS
    _devStatus = BETA
    COMMAND, OPTIONS_OF, OPTIONS, MAKES = "trajectory", TrajectoryOptions, OPTIONS, "trajectory"

    # --------------------------- DEFINE param functions ----------------------
    def _defineParams(self, form):
        self._addTrained(form, "Distances between volumes need the particles of a *landscape*.")
        KIND.add_to(form)
        form.addParam(
            "anchors", params.StringParam, default="", condition=f"kind not in ({PC}, {POINTS})",
            label="Particles to join",
            help="Ids of the particles that the path joins, in order, as 12, 5000, 77: the explorer shows them; the "
                 "wizard offers the centres of classes. Empty joins the ends of the principal component.",
        )  # fmt: skip
        form.addParam(
            "pointsFile", params.FileParam, default="", condition=f"kind == {POINTS}", label="File of points",
            help="Latent coordinates: .txt with one point per line, .npy, or .npz with an array z.",
        )  # fmt: skip
        COMPONENT.add_to(form)
        addGroup(form, "Neighbours", NEIGHBOURS, condition=f"kind in ({GRAPH}, {DENSITY})")
        addGroup(form, "Maps", MAPS)
        FIGURES.add_to(form)
        SEED.add_to(form)
        self._addThreads(form)

    # --------------------------- STEPS functions -----------------------------
    def createOutputStep(self, source: str, options: str):
        """The maps along the path, plain and with their latents."""
        self._mapsOutput(self._ownRun().results("trajectory", NAME), PATH_SERIES)

    # --------------------------- INFO functions ------------------------------
    def _validate(self):
        if self.kind.get() == POINTS and not self.pointsFile.get():
            return ["Choose a file of latent coordinates, or another kind of path."]
        errors = super()._validate()
        if not errors and self._options().get("space") == "volume":
            return self._settingErrors(self._needsLandscape)
        return errors

    def _summary(self):
        if not self.isFinished():
            return ["The trajectory has not finished."]
        trajectory = self._ownRun().results("trajectory", NAME)
        maps = trajectory.series(PATH_SERIES)
        limits = reach(maps, "resolution_ang")
        more = f", {limits} at half-map FSC 0.143" if limits else ""
        lines = [f"{len(maps)} maps along a path of kind {trajectory.index['kind']}{more}."]
        movie = trajectory.file("movie")
        lines += [f"The movie is {movie}."] if movie else []
        return [*lines, f"Figures and a ChimeraX script are in {trajectory.folder}."]

    def _methods(self):
        return [f"Maps were made along a path through the latent space ({KIND.value(self)})."]

    def _citations(self):
        return ["Zhong2021"]

    # --------------------------- UTILS functions -----------------------------
    def _options(self):
        options = {"name": NAME}
        if self.kind.get() == POINTS:
            options["points"] = self.pointsFile.get()
        elif self.kind.get() != PC:
            options["anchors"] = self._rowsOf(self.anchors.get())
        return {**super()._options(), **options}

    def _needsLandscape(self) -> None:
        Run.open(self._trainedRun()).results("landscape")
