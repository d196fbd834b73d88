"""Molecules that lack parts: the states of an assembly, each the whole without some of its parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..atoms.atomic_model import AtomicModel
from .ensemble import Ensemble


@dataclass(frozen=True)
class AssemblyState:
    lacks: str
    """Names of the absent parts, one letter each."""
    population: float


def assembled(model: AtomicModel, parts: Mapping[str, np.ndarray], states: Sequence[AssemblyState]) -> Ensemble:
    """The states of a model whose `parts`, masks (n,) under one letter each, come and go.

    The coordinate of a state is its place in the list; its label names what it lacks.
    """
    members = []
    for state in states:
        absent = np.any([np.zeros(len(model), bool), *(parts[name] for name in state.lacks)], axis=0)
        members.append(model[~absent])
    return Ensemble(
        members,
        np.arange(float(len(states))),
        np.array([state.population for state in states]),
        tuple(f"without {state.lacks}" if state.lacks else "whole" for state in states),
    )


def outer_parts(
    model: AtomicModel, directions: Mapping[str, Sequence[float]], shares: Mapping[str, float]
) -> dict[str, np.ndarray]:
    """Masks (n,) of compact parts of a model that lie outside in given directions and have given shares of its mass.

    A part is made of the atoms nearest to the model's outermost point along its direction; parts do not overlap, those
    that come first take first.
    """
    centred = model.coords_ang - model.centre_ang()
    total, free, parts = model.weights.sum(), np.ones(len(model), dtype=bool), {}
    for name, direction in directions.items():
        along = centred @ (np.asarray(direction) / np.linalg.norm(direction))
        tip = centred[np.argmax(np.where(free, along, -np.inf))]
        nearest = np.argsort(np.where(free, np.linalg.norm(centred - tip, axis=1), np.inf), kind="stable")
        mass = np.cumsum(model.weights[nearest])
        chosen = nearest[: 1 + np.searchsorted(mass, shares[name] * total)]
        parts[name] = np.zeros(len(model), dtype=bool)
        parts[name][chosen] = True
        free &= ~parts[name]
    return parts
