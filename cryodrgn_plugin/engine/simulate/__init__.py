"""Simulated particles with planted truth: atomic models, motions, exact projections, CTF, noise, and the files of a RELION project."""

from .atoms import AtomicModel, bare_model
from .config import OpticsGroup, SimulationConfig
from .dataset import simulate_particles
from .ensemble import Ensemble, equal_parts
from .tiny import tiny_ensemble, tiny_set

__all__ = [
    "AtomicModel",
    "Ensemble",
    "OpticsGroup",
    "SimulationConfig",
    "bare_model",
    "equal_parts",
    "simulate_particles",
    "tiny_ensemble",
    "tiny_set",
]
