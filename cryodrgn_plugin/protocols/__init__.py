"""The protocols that Scipion shows."""

from .protocol_train import ProtHetTrain

__all__ = ["ProtHetTrain"]
