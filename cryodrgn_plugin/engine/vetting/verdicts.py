"""A verdict: one sentence on one question about a particle set, and whether to go on."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

OK, WARN, STOP = "ok", "warn", "stop"
LEVELS = (OK, WARN, STOP)
"""ok: as it should be. warn: go on if this is what you expect. stop: what follows would be wrong."""

BELIEVED = 5.0
"""Standard errors above which a difference between two explanations of the images is believed."""


@dataclass(frozen=True)
class Verdict:
    check: str
    """What was looked at, in one or two words."""
    level: str
    """One of LEVELS."""
    sentence: str
    figures: dict[str, Any] = field(default_factory=dict)
    """The numbers behind the sentence; plain Python values that travel as JSON."""


def worst(verdicts: Sequence[Verdict]) -> str:
    """The gravest level among the verdicts."""
    return max((verdict.level for verdict in verdicts), key=LEVELS.index, default=OK)
