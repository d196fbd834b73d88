"""What a validation has measured, before it is judged and drawn."""

from dataclasses import dataclass

import numpy as np

from ..reconstruction.directional_fsc import DirectionalFsc
from .agreement import Agreement
from .consensus import Consensus
from .heterogeneity import HeterogeneityTest
from .leakage import Leak
from .model_finding import ModelFinding
from .sensitivity import Sensitivity
from .state_populations import StatePopulations
from .verdict import Verdict


@dataclass(frozen=True)
class HalvesFound:
    """What training on two halves gave: half of each image (−1: in neither), its latents by each half, and
    their agreement."""

    half: np.ndarray
    once: np.ndarray
    """(N,) bool: one image of each particle, and of its copies."""
    latents: tuple[np.ndarray, np.ndarray]
    agreement: Agreement
    confidence: np.ndarray
    test: HeterogeneityTest
    mean_maps: tuple[np.ndarray, np.ndarray]
    """(D, D, D) each: the mean over the states of each half."""

    @property
    def particles(self) -> list[int]:
        """How many each half has."""
        return [int((self.half[self.once] == number).sum()) for number in (0, 1)]


@dataclass(frozen=True)
class Findings:
    """All that was measured."""

    particles: int
    halves: HalvesFound | None
    leaks: list[Leak]
    others: list[Consensus]
    states: StatePopulations | None
    verdict: Verdict
    directions: DirectionalFsc | None = None
    """Of the mean maps of the two halves; None without halves."""
    seen: Sensitivity | None = None
    """What the run's training saw beside noise; None where its recipe does not say."""
    model: ModelFinding | None = None
    """What was found of an atomic model; None where none was laid into the run's maps."""
