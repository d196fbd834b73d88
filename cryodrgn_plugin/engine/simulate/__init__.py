"""Simulated particles with planted truth: models, motions, exact projections, CTF, noise, and RELION's files.

Names are loaded when first used, so that a program which only asks for the settings starts at once.
"""

from importlib import import_module

_HOME = {
    "AtomicModel": "..atoms.atomic_model",
    "bare_model": "..atoms.atomic_model",
    "OpticsGroup": ".config",
    "SimulationConfig": ".config",
    "simulate_particles": ".simulation",
    "Ensemble": ".ensemble",
    "equal_parts": ".ensemble",
    "PRESETS": ".presets",
    "tiny_ensemble": ".tiny",
    "tiny_set": ".tiny",
}

__all__ = list(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name], __name__), name)
