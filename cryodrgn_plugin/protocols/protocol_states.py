"""Maps of states with half-maps, an honest resolution, local resolution and sharpening."""

from functools import partial

from pyworkflow import BETA
from pyworkflow.protocol import params

from ..engine.options import StatesOptions
from ..engine.result_kinds import REGRESSION_SERIES, STATE_SERIES
from ..engine.results import Results
from . import outputs
from .form_settings import FormSetting
from .protocol_base import addGroup
from .protocol_run import ProtHetOnRun

CENTRES, PARTICLES, POINTS = range(3)
WHICH = ("separate states or clusters", "particles that I name", "points of a file")


_setting = partial(FormSetting, source=StatesOptions)


NUMBER = _setting("states", "states", "Number of states", condition=f"which == {CENTRES}")
GROUP_BY = _setting("groupBy", "group_by", "States are", condition=f"which == {CENTRES}", expert=True)
METHOD = (
    _setting("method", "method", "Maps by"),
    _setting("neighbors", "neighbors", "Particles per map", condition="method != 0", expert=True),
)
JUDGEMENT = (
    _setting("bias", "bias", "Measure what half-maps cannot see"),
    _setting("localResolution", "local_resolution", "Local resolution"),
)
SHARPENING = (
    _setting("sharpen", "sharpen", "Sharpen"),
    _setting("bFactor", "b_factor_ang2", "B-factor (Å²)", condition="sharpen"),
    _setting("lowpass", "lowpass_ang", "Low-pass (Å)", condition="sharpen"),
)
FIGURES = _setting("figures", "figures", "Draw figures", expert=True)
SEED = _setting("seed", "seed", "Random seed", expert=True)
OPTIONS = (NUMBER, GROUP_BY, *METHOD, *JUDGEMENT, *SHARPENING, FIGURES, SEED)


class ProtHetStates(ProtHetOnRun):
    """Make the maps of states to be interpreted, and say how good each is: half-maps, resolution, local resolution.

    Half-maps of heterogeneous particles share their latent coordinates and agree too well with each other; the expected
    resolution is measured with maps that do not, from the particles nearest to the state in the other half.
    """

    _label = "states"
    _possibleOutputs = outputs.STATES_OUTPUTS
    _devStatus = BETA
    COMMAND, OPTIONS_OF, OPTIONS, MAKES = "states", StatesOptions, OPTIONS, "states"

    # --------------------------- DEFINE param functions ----------------------
    def _defineParams(self, form):
        self._addTrained(form)
        form.addParam(
            "which", params.EnumParam, choices=list(WHICH), default=CENTRES, label="States",
            help="Which points of the latent space are made: the separate states that training found, or else centres "
                 "of clusters; or those that you name.",
        )  # fmt: skip
        NUMBER.add_to(form)
        GROUP_BY.add_to(form)
        form.addParam(
            "particleIds", params.StringParam, default="", condition=f"which == {PARTICLES}", label="Particles",
            help="Ids of the particles whose latent coordinates are the states, as 12, 5000, 77: the explorer shows "
                 "them; the wizard offers the centres of classes.",
        )  # fmt: skip
        form.addParam(
            "pointsFile", params.FileParam, default="", condition=f"which == {POINTS}", label="File of points",
            help="Latent coordinates: .txt with one point per line, .npy, or .npz with an array z.",
        )  # fmt: skip
        addGroup(form, "Maps", METHOD)
        form.addParam(
            "inputMask", params.PointerParam, pointerClass="VolumeMask", allowsNull=True, label="Mask",
            help="Where the maps are judged: a mask in their box and pixel size. Empty makes one around each map.",
        )  # fmt: skip
        addGroup(form, "Resolution", JUDGEMENT)
        addGroup(form, "Sharpening", SHARPENING)
        FIGURES.add_to(form)
        SEED.add_to(form)
        self._addThreads(form)

    # --------------------------- STEPS functions -----------------------------
    def createOutputStep(self, source: str, options: str):
        """The maps with their half-maps, plain and with latents; the sharpened ones, and those of the regression."""
        states = self._ownRun().results("states")
        series = self._mainSeries(states)
        self._mapsOutput(states, series)
        if all(entry["sharpened"] for entry in states.series(series)):
            self._volumesOutput(outputs.SHARPENED, states, series, suffix="sharpened", role="sharpened")
        if series != REGRESSION_SERIES and states.series(REGRESSION_SERIES):
            self._volumesOutput(outputs.REGRESSION, states, REGRESSION_SERIES, suffix="regression")

    # --------------------------- INFO functions ------------------------------
    def _validate(self):
        if self.which.get() == PARTICLES and not self.particleIds.get():
            return ["Name the particles whose maps to make, or take separate states or clusters."]
        if self.which.get() == POINTS and not self.pointsFile.get():
            return ["Choose a file of latent coordinates, or take separate states or clusters."]
        return super()._validate()

    def _summary(self):
        if not self.isFinished():
            return ["The states have not been made yet."]
        states = self._ownRun().results("states")
        lines = self._grouped(states)
        for entry in states.series(self._mainSeries(states)):
            limits = []
            if entry["expected_resolution_ang"]:
                limits.append(f"{entry['expected_resolution_ang']:.1f} Å expected")
            if entry["resolution_ang"]:
                limits.append(f"half-maps agree up to {entry['resolution_ang']['0.143']:.1f} Å")
            lines.append(f"{entry['label']}: {', '.join(limits) or 'no half-maps to judge it by'}.")
        lines += [f"*{sentence}*" for sentence in states.index.get("cautions", [])]
        return [*lines, f"Local resolution, figures and a ChimeraX script are in {states.folder}."]

    def _methods(self):
        return [f"Maps of states were made ({METHOD[0].value(self)}) and judged by half-maps."]

    def _citations(self):
        return ["Kimanius2022"]

    # --------------------------- UTILS functions -----------------------------
    def _options(self):
        mask = self.inputMask.get()
        options = {"mask": "" if mask is None else mask.getFileName()}
        if self.which.get() == PARTICLES:
            options["particles"] = self._rowsOf(self.particleIds.get())
        if self.which.get() == POINTS:
            options["points"] = self.pointsFile.get()
        return {**super()._options(), **options}

    @staticmethod
    def _mainSeries(states: Results) -> str:
        """The decoder's maps, or those of the regression where it made none."""
        return STATE_SERIES if states.series(STATE_SERIES) else REGRESSION_SERIES
