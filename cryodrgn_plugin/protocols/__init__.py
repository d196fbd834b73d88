"""The protocols that Scipion shows."""

from .protocol_ab_initio import ProtHetAbInitio
from .protocol_analyze import ProtHetAnalyze
from .protocol_refine_poses import ProtHetRefinePoses
from .protocol_simulate import ProtHetSimulate
from .protocol_train import ProtHetTrain

__all__ = ["ProtHetAbInitio", "ProtHetAnalyze", "ProtHetRefinePoses", "ProtHetSimulate", "ProtHetTrain"]
