"""What a validation has measured, before it is judged and drawn."""

from dataclasses import dataclass

import numpy as np

from .agreement import Agreement
from .consensus import Consensus
from .heterogeneity import HeterogeneityTest
from .leakage import Leak
from .state_populations import StatePopulations
from .verdict import Verdict


@dataclass(frozen=True)
class HalvesFound:
    """What training on two halves gave: half of each particle (−1: in neither), its latents by each half, and
    their agreement."""

    half: np.ndarray
    latents: tuple[np.ndarray, np.ndarray]
    agreement: Agreement
    confidence: np.ndarray
    test: HeterogeneityTest


@dataclass(frozen=True)
class Findings:
    """All that was measured."""

    halves: HalvesFound | None
    leaks: list[Leak]
    others: list[Consensus]
    states: StatePopulations | None
    verdict: Verdict
