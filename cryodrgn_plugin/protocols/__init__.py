"""The protocols that Scipion shows."""

from .protocol_ab_initio import ProtHetAbInitio
from .protocol_agreement import ProtHetAgreement
from .protocol_analyze import ProtHetAnalyze
from .protocol_atoms import ProtHetAtoms
from .protocol_export import ProtHetExport
from .protocol_import import ProtHetImport
from .protocol_landscape import ProtHetLandscape
from .protocol_preflight import ProtHetPreflight
from .protocol_refine_poses import ProtHetRefinePoses
from .protocol_select import ProtHetSelect
from .protocol_simulate import ProtHetSimulate
from .protocol_states import ProtHetStates
from .protocol_subtract import ProtHetSubtract
from .protocol_train import ProtHetTrain
from .protocol_trajectory import ProtHetTrajectory
from .protocol_validate import ProtHetValidate

__all__ = [
    "ProtHetAbInitio",
    "ProtHetAgreement",
    "ProtHetAnalyze",
    "ProtHetAtoms",
    "ProtHetExport",
    "ProtHetImport",
    "ProtHetLandscape",
    "ProtHetPreflight",
    "ProtHetRefinePoses",
    "ProtHetSelect",
    "ProtHetSimulate",
    "ProtHetStates",
    "ProtHetSubtract",
    "ProtHetTrain",
    "ProtHetTrajectory",
    "ProtHetValidate",
]
