"""The protocols that Scipion shows."""

from .protocol_analyze import ProtHetAnalyze
from .protocol_simulate import ProtHetSimulate
from .protocol_train import ProtHetTrain

__all__ = ["ProtHetAnalyze", "ProtHetSimulate", "ProtHetTrain"]
