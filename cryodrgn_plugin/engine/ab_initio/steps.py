"""One round of an ab initio reconstruction: which images, how far in frequency, how loosely; and its place in it."""

from dataclasses import dataclass
from typing import Literal

Met = Literal["all", "likely", "own", "kin", "pool"]
"""Species that an image is compared with: all, those that are not hopeless for it, the one it was last put in, both of
a pair, or all that share a pool of images, others being in none."""

Phase = Literal["settle", "group", "dissolve", "sort", "pair", "part", "insist", "refine", "move"]


@dataclass(frozen=True)
class Round:
    """How one round is done."""

    radius: int
    """Frequency limit of the poses, in 1/(box · pixel)."""
    images: int
    """Images used, drawn at random."""
    temperature: float
    """Log-likelihoods are multiplied by it before they become weights; below 1 poses are held loosely."""
    kept: int
    """Candidates per image and species."""
    levels: int = 0
    """How often the best candidates are refined."""
    first_radius: int = 7
    """Frequency limit of the first grid where candidates are refined after it."""
    crossed: bool = False
    """Whether half-sets check each other."""
    masked: bool = False
    """Whether the maps are confined to the molecule."""
    met: Met = "all"
    even: bool = False
    """Whether species have as many images each, of those of their family."""
    local: bool = False
    """Whether poses are moved uphill from where they are, and not searched for."""


@dataclass(frozen=True)
class Step:
    """One round of the whole reconstruction, with its place in it."""

    phase: Phase
    plan: Round
    number: int
    """Of the random numbers; the same in every start of a phase, so that their last scores are of the same images."""
    start: int | None = None
    """Random start that it belongs to."""
    begins: bool = False
    """Whether that start begins with it."""
    anew: bool = False
    """Whether the maps before it will be held against those of new starts, of which this is the first round."""
    returns: bool = False
    """Whether it begins with those maps."""
    judged: Literal["", "first", "again"] = ""
    """Whether it is the last of a start, the first start or one that must be better than those before."""
    drops: bool = False
    """Whether species that no image would miss are dropped before it."""
    one_in: int = 0
    """One species in so many is dissolved before it."""
    climbs: bool = False
    """Whether it is repeated as long as maps gain by it."""
