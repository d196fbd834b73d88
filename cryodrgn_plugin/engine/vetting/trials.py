"""Stories told apart: what the star file says, against a list of usual mistakes, by what they explain."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .case import Case
from .evidence import Evidence, Story, evidence
from .verdicts import BELIEVED


@dataclass(frozen=True)
class Trial:
    """One story beside the star file's own."""

    name: str
    """The mistake, in a few words, for figures."""
    advice: str
    """What to do if this story is the true one: the end of a sentence."""
    story: Story
    evidence: Evidence
    over_given: float
    """Standard errors by which it explains the images better than the star file's story; negative for worse."""

    @property
    def gain(self) -> float:
        """Mean log-likelihood that the map adds to an image, in nats."""
        return float(self.evidence.gains.mean())

    @property
    def wins(self) -> bool:
        return self.over_given > BELIEVED

    def summary(self) -> dict[str, Any]:
        return {"name": self.name, "gain": round(self.gain, 3), "over_given": round(self.over_given, 2)}


def tried(case: Case, name: str, story: Story, advice: str = "") -> Trial:
    """Judge one story against the star file's."""
    judged = evidence(case.images, story)
    return Trial(name, advice, story, judged, judged.over(case.given))


def better(trials: list[Trial]) -> Trial | None:
    """The story that explains the images best, if one explains them better than the star file's does."""
    winners = [trial for trial in trials if trial.wins]
    return max(winners, key=lambda trial: trial.gain, default=None)


Tell = Callable[[str], None]
"""Told the name of each story before it is tried, for progress."""
