"""What the commands can be asked for: one door for hosts that make forms and labels of it. It loads nothing heavy."""

from .agreement.agreement_options import AgreementOptions
from .analysis.analysis_options import AnalysisOptions
from .atomic_motion.atoms_options import AtomsOptions
from .cli.option_flags import as_flags, as_words
from .cli.setting_flags import SECTIONS
from .importing.import_options import ImportOptions
from .landscape.landscape_options import LandscapeOptions, TrajectoryOptions
from .poses.refine_options import RefineOptions
from .preflight.preflight_options import PreflightOptions
from .reconstruction.reconstruct_options import RECONSTRUCT_SETTINGS, ReconstructOptions
from .selection.export_options import ExportOptions
from .selection.selection_options import SelectOptions
from .selection.subtract_options import SubtractOptions
from .simulate.config import SimulationConfig
from .states.state_options import StatesOptions
from .validation.validation_options import ValidateOptions

__all__ = [
    "RECONSTRUCT_SETTINGS",
    "SECTIONS",
    "AgreementOptions",
    "AnalysisOptions",
    "AtomsOptions",
    "ExportOptions",
    "ImportOptions",
    "LandscapeOptions",
    "PreflightOptions",
    "ReconstructOptions",
    "RefineOptions",
    "SelectOptions",
    "SimulationConfig",
    "StatesOptions",
    "SubtractOptions",
    "TrajectoryOptions",
    "ValidateOptions",
    "as_flags",
    "as_words",
]
