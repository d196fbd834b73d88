"""The names that a mistyped name may have meant."""

import difflib
from collections.abc import Iterable

MOST = 3
AS_GOOD = 0.1
"""Names whose likeness is less than the best one's by no more than this are named with it."""


def same_name(name: str) -> str:
    """A setting's name as the engine spells it: hyphens count as underscores."""
    return name.strip().replace("-", "_")


def nearest_names(name: str, known: Iterable[str]) -> list[str]:
    """The few names of `known` that `name` is most like, best first: those of another section, else by spelling."""
    names = list(dict.fromkeys(known))
    elsewhere = [other for other in names if _leaf(other) == _leaf(name)]
    if elsewhere:
        return elsewhere[:MOST]
    likeness = {other: max(_likeness(name, other), _likeness(_leaf(name), _leaf(other))) for other in names}
    best = max(likeness.values())
    return sorted((other for other in names if likeness[other] >= best - AS_GOOD), key=lambda other: -likeness[other])[
        :MOST
    ]


def _leaf(name: str) -> str:
    return same_name(name.rpartition(".")[2].lstrip("-"))


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()
