"""Particles that are chosen in the explorer: by a line, a class or a rule, added to or taken from what is chosen, and
kept under names. Free of any window."""

from collections.abc import Mapping

import numpy as np

from ..engine.selection.lasso import Lasso
from ..engine.selection.rules import obeying

NEW, ADD, SUBTRACT, WITHIN = "new", "add", "subtract", "within"
WAYS = {NEW: "replaces the selection", ADD: "adds to it", SUBTRACT: "takes off it", WITHIN: "keeps what is in both"}
"""What becomes of the selection when particles are chosen."""


class Selections:
    """One selection at hand of N particles, and those that were kept; every change can be undone."""

    def __init__(self, n: int) -> None:
        self.chosen: np.ndarray | None = None
        """(N,) bool; None where nothing is selected."""
        self.kept: dict[str, np.ndarray] = {}
        self.n = n
        self._before: list[np.ndarray | None] = []

    @property
    def count(self) -> int:
        """How many particles are chosen."""
        return 0 if self.chosen is None else int(self.chosen.sum())

    def take(self, these: np.ndarray, way: str = NEW) -> None:
        """Let particles (N,) bool replace the selection, add to it, be taken off it, or be all that stays of it."""
        chosen = self.chosen
        if way == SUBTRACT:
            chosen = ~these if chosen is None else chosen & ~these
        elif way == NEW or chosen is None:
            chosen = these.copy()
        else:
            chosen = chosen | these if way == ADD else chosen & these
        self._change(chosen)

    def invert(self) -> None:
        """Choose all others."""
        if self.chosen is not None:
            self._change(~self.chosen)

    def clear(self) -> None:
        """Choose nothing."""
        self._change(None)

    def undo(self) -> None:
        """Go back to what was chosen before."""
        if self._before:
            self.chosen = self._before.pop()

    def keep(self, name: str = "") -> str:
        """Keep the selection under a name, or one that is free; returns the name."""
        name = name.strip() or next(f"selection {k}" for k in range(1, 10_000) if f"selection {k}" not in self.kept)
        if self.chosen is not None:
            self.kept[name] = self.chosen.copy()
        return name

    def _change(self, chosen: np.ndarray | None) -> None:
        self._before = [*self._before[-19:], self.chosen]
        self.chosen = chosen


def inside_outline(corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N,) bool: which of `points` (N, 2) lie inside a closed line (V, 2)."""
    return Lasso(("", ""), np.asarray(corners, float)).inside(np.asarray(points))


def following(rule: str, columns: Mapping[str, np.ndarray], n: int) -> np.ndarray:
    """(N,) bool: the particles that a rule is true of, as `select` reads rules. Raises ConfigError for one that cannot
    be read."""
    return obeying(rule, columns, n)


def last_word(rule: str) -> str:
    """What stands at the end of a rule that is being typed, and may become the name of a column."""
    return rule.replace("(", " ").split(" ")[-1]


def completed(rule: str, names: list[str]) -> list[str]:
    """Names of columns that the last word of a rule may become."""
    word = last_word(rule).lower()
    return [name for name in names if word and name.lower().startswith(word) and name.lower() != word]
