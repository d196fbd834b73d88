"""What views that are missing do to states: maps drawn out along them, and differences that no image has seen."""

from collections.abc import Iterator, Sequence

from ..reconstruction.directional_fsc import DirectionalFsc, mean_of
from .made import MadeState

MUCH_UNSEEN = 1 / 3
"""Share of a difference's power in unseen directions from which on it is not to be trusted."""


def directions_of_states(states: Sequence[MadeState]) -> DirectionalFsc | None:
    """The mean over states of their FSC by direction; None where it was not measured."""
    agreements = [state.map.whole for state in states]
    measured = [each.directions for each in agreements if each is not None and each.directions is not None]
    return mean_of(measured) if measured else None


def view_cautions(states_by_way: dict[str, list[MadeState]], labels: Sequence[str]) -> Iterator[str]:
    """Sentences of warning; none where the particles were seen from everywhere."""
    states = next(iter(states_by_way.values()))
    directions = directions_of_states(states)
    if directions is not None and directions.warning:
        yield directions.warning
    unseen = {
        label: state.unseen_difference
        for label, state in zip(labels, states, strict=True)
        if state.unseen_difference is not None and state.unseen_difference > MUCH_UNSEEN
    }
    if unseen:
        named = ", ".join(f"{label} (about {share:.0%})" for label, share in unseen.items())
        yield f"Much of what sets these states apart lies in directions that no image shows; do not trust it: {named}."
