"""What the measurements mean, in plain words: a headline, and a sentence for each of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..reconstruction.directional_fsc import DirectionalFsc
from .agreement import Agreement
from .consensus import Consensus
from .heterogeneity import HeterogeneityTest
from .leakage import Leak
from .sensitivity import Sensitivity

FOUND, PARTIAL, NONE, UNTESTED = "found", "partial", "none", "untested"
GOOD_AGREEMENT, SOME_AGREEMENT = 0.8, 0.5
"""Canonical correlations of the best direction."""
WORTH_TELLING = 0.05
"""Spread of contrast that explains why chance gains something too."""


@dataclass(frozen=True)
class Verdict:
    """`outcome`: found, partial (found, but not to be trusted as it is), none, or untested."""

    outcome: str
    headline: str
    sentences: tuple[str, ...]


def judge(
    trained: tuple[HeterogeneityTest, Agreement, np.ndarray] | None,
    leaks: Sequence[Leak],
    others: Sequence[Consensus],
    significance: float,
    directions: DirectionalFsc | None = None,
    seen: Sensitivity | None = None,
    more: Sequence[str] = (),
) -> Verdict:
    """The verdict on all that was measured.

    `trained` is what two halves gave, the test, their agreement and the confidence (N,) of the particles; None when no
    halves were trained. `directions` is how far the mean maps of the halves agree by direction. `seen` is what the
    training saw beside noise; where that is nothing, nothing was found, whatever the halves say. `more` is what
    else is to be said; what is empty is not.
    """
    told = [*([seen.sentence] if seen else []), _leakage(leaks, significance), *([_others(others)] if others else [])]
    if directions is not None:
        told.append(f"By direction the halves agree up to {directions.sentence}. {directions.warning}".rstrip())
    told += [sentence for sentence in more if sentence]
    if trained is None:
        return Verdict(UNTESTED, "Not tested: no halves were trained.", tuple(told))
    test, halves, confidence = trained
    told = [_chance(test, significance), _agreement(halves, confidence), *told]
    significant = bool(test.p_value <= significance and test.gain > 0)
    best = halves.correlation[0] if halves.shared else 0.0
    nothing_seen = seen is not None and not seen.directions
    if nothing_seen or not significant:
        bright = not significant and best >= SOME_AGREEMENT and test.contrast_spread > WORTH_TELLING
        return Verdict(NONE, _nothing_found(bool(bright), seen), tuple(told))
    doubts = []
    if best < SOME_AGREEMENT:
        doubts.append("two halves of the particles do not agree where particles lie")
    strong = [leak.name for leak in leaks if leak.strength(significance) == "strong"]
    if strong:
        doubts.append(f"the latent space follows {_listed(strong)}")
    if doubts:
        return Verdict(PARTIAL, f"Heterogeneity found, but {' and '.join(doubts)}.", tuple(told))
    return Verdict(FOUND, "Heterogeneity found, and two independent halves of the particles agree on it.", tuple(told))


def _nothing_found(bright: bool, seen: Sensitivity | None) -> str:
    """The headline where states explain no images of others; directions that all particles show are not hushed up."""
    if seen is not None and seen.directions and not bright:
        return (
            f"Heterogeneity not confirmed: {seen.stand_out} out from noise in all particles, but not in half of them."
        )
    brief = seen.brief if seen is not None and not seen.directions else ""
    return f"No heterogeneity found{' beyond differences in contrast' * bright}{brief}."


def _chance(test: HeterogeneityTest, significance: float) -> str:
    p = f"p {'≤' if not (test.by_chance >= test.gain).any() else '='} {test.p_value:.3g}"
    gain = f"{test.gain:.3g} nats per image, {test.by_chance.mean():.2g} ± {test.by_chance.std():.2g} by chance ({p})"
    spread = test.contrast_spread
    brightness = f" Images differ in contrast by {spread:.0%}, which does not count." if spread > WORTH_TELLING else ""
    if test.p_value <= significance and test.gain > 0:
        return f"States that one half of the particles has found make the images of the other half likelier: {gain}."
    return (
        f"States that one half of the particles has found do not explain the images of the other half better than "
        f"chance does: {gain}. Either there are no states, or they are too weak for these particles.{brightness}"
    )


def _agreement(halves: Agreement, confidence: np.ndarray) -> str:
    if not halves.shared:
        return "Trained apart, the two halves place particles no more alike than chance."
    listed = ", ".join(f"{rho:.2f}" for rho in halves.correlation[: halves.shared][:5])
    sure = float((confidence > 0.8).mean())
    how = "agree" if halves.correlation[0] >= GOOD_AGREEMENT else "agree in part"
    return (
        f"Trained apart, the two halves {how}: {halves.shared} shared direction{'s' * (halves.shared > 1)}, correlated "
        f"{listed}. The median confidence of a particle is {np.median(confidence):.2f}; {sure:.0%} have more than 0.8."
    )


def _leakage(leaks: Sequence[Leak], significance: float) -> str:
    if not leaks:
        return "All particles lie at one point of the latent space, which therefore predicts nothing."
    told = [
        f"{leak.name} ({leak.told:.0%})" for leak in leaks if leak.strength(significance) in ("clear", "strong")
    ]  # fmt: skip
    if not told:
        return f"The latent space follows none of {_listed([leak.name for leak in leaks])} to speak of."
    return (
        f"The latent space follows {_listed(told)}. Look whether that can be the molecule's doing, such as a state "
        "that prefers a view or a smaller one that is taken for a fainter one; otherwise states and nuisance are mixed."
    )


def _others(others: Sequence[Consensus]) -> str:
    return " ".join(
        f"{Path(other.run).name} ({other.recipe}) {other.words}: best correlation {other.correlation[:1].sum():.2f}."
        for other in others
    )


def _listed(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
