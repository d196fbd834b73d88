"""An atomic model in the maps of a training: parts that move and come and go, and whether to believe it."""

from functools import partial
from typing import Any

from pwem.objects import AtomStruct, SetOfAtomStructs
from pyworkflow import BETA
from pyworkflow.protocol import params

from ..engine.options import AtomsOptions
from ..engine.result_kinds import PLACE_SERIES
from ..engine.results import Results
from . import outputs
from .form_settings import FormSetting
from .protocol_base import addGroup
from .protocol_run import ProtHetOnRun

_setting = partial(FormSetting, source=AtomsOptions)


PARTS = (
    _setting("maps", "maps", "Maps to lay it into"),
    _setting("mostParts", "most_parts", "Rigid parts, at most"),
)
IMAGES = (
    _setting("corrected", "corrected", "Map with the motion undone"),
    _setting("bias", "bias", "Check the model"),
)
FIGURES = _setting("figures", "figures", "Draw figures", expert=True)
SEED = _setting("seed", "seed", "Random seed", expert=True)
OPTIONS = (*PARTS, *IMAGES, FIGURES, SEED)


class ProtHetAtoms(ProtHetOnRun):
    """Lay an atomic model into the maps of a training: which rigid parts it has, how they move, and what is missing
    where.

    Parts are found from the data, and their number by the maps of held-out particles. A model can be laid into any map:
    so it is checked against maps that know nothing of it, and the summary says where it is not to be trusted.
    """

    _label = "atomic heterogeneity"
    _possibleOutputs = outputs.ATOMS_OUTPUTS
    _devStatus = BETA
    COMMAND, OPTIONS_OF, OPTIONS, MAKES = "atoms", AtomsOptions, OPTIONS, "atoms"

    # --------------------------- DEFINE param functions ----------------------
    def _defineParams(self, form):
        self._addTrained(form)
        form.addParam(
            "inputModel", params.PointerParam, pointerClass="AtomStruct", important=True, label="Atomic model",
            help="The whole of what images show, in the shape that it has in some of them. It need not lie in the map: "
                 "its place is searched for, in both hands.",
        )  # fmt: skip
        addGroup(form, "Parts", PARTS)
        addGroup(form, "From the images", IMAGES)
        FIGURES.add_to(form)
        SEED.add_to(form)
        self._addThreads(form)

    # --------------------------- STEPS functions -----------------------------
    def createOutputStep(self, source: str, options: str):
        """The particles, which take what was found to other protocols; the models with the maps that they lie in, and
        the map of all particles with the motion undone."""
        self._flexOutput(outputs.PARTICLES)
        atoms = self._ownRun().results("atoms")
        models = SetOfAtomStructs.create(self._getPath())
        for entry in atoms.series(PLACE_SERIES):
            model = AtomStruct(atoms.path(entry["model"]))
            model.setObjLabel(entry["label"])
            models.append(model)
        self._give(outputs.ATOM_STRUCTS, models, self.inputParticles, self.inputModel)
        self._mapsOutput(atoms, PLACE_SERIES)
        if atoms.file("corrected"):
            self._correctedOutput(atoms)

    # --------------------------- INFO functions ------------------------------
    def _summary(self):
        if not self.isFinished():
            return ["The model has not been laid into the maps yet."]
        atoms = self._ownRun().results("atoms")
        return [*atoms.index["sentences"], f"Figures and a ChimeraX script are in {atoms.folder}."]

    def _methods(self):
        return ["Rigid parts of an atomic model were fitted to the maps of a training."] if self.isFinished() else []

    def _citations(self):
        return ["Kimanius2022"]

    # --------------------------- UTILS functions -----------------------------
    def _options(self) -> dict[str, Any]:
        return {**super()._options(), "model": self.inputModel.get().getFileName()}

    def _correctedOutput(self, atoms: Results) -> None:
        from ..convert import volume_object

        halves = [str(atoms.file(f"corrected_half{number}")) for number in (1, 2)]
        corrected = volume_object(str(atoms.file("corrected")), half_maps=halves)
        self._give(outputs.CORRECTED, corrected, self.inputParticles, self.inputModel)
