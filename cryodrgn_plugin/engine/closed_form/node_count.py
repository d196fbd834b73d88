"""Separate states or a continuum: as many nodes as images that were held out speak for.

A handful of nodes that explains held-out images as well as many is a handful of states, unless one smooth motion of as
many free amplitudes explains them as well. Where many explain them better the states are one shape, a curve or a sheet,
or several with gaps between (`gaps`), and nodes only sample it.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .nodes import at_nodes, fit_nodes
from .one_motion import fit_curves

MOST_STATES = 12
TESTED = 12000
"""Images that the choice is made on, half of them held out in turn."""
ROUNDS = 30
SURE, WORTH = 2.0, 0.01
"""More nodes must explain held-out images better by this many standard errors, and each of them by this share of what
all gain."""
ANYTHING_SURE = 4.0
"""Standard errors by which any number of nodes must explain them better than one, or there is but one state."""
CONTINUUM_SURE, CONTINUUM_WORTH = 2.5, 0.03
"""Standard errors by which a continuum must explain them better than states do, and by what share of what all gain."""
LEAST_CURVED = 3
"""Two states are not held against a line, which faint images cannot tell from them."""
MORE_CURVED = 2
"""Degrees of curves that are tried beyond the one of as many amplitudes as the states have, each then held against as
many states as it has amplitudes."""
NOT_WORSE = 1.0
"""Standard errors by which a curve of fewer amplitudes than the states, or an arc, may fall short of them."""


@dataclass(frozen=True)
class NodeCount:
    """`count` nodes; `states` says whether they are separate states; `gain` by number of nodes, in nats per held-out
    image over one node.
    """

    count: int
    states: bool
    gain: dict[int, float]
    degree: int = 0
    """Of the one motion that explains images as well as separate states, where that is why there are none."""

    @property
    def sentence(self) -> str:
        """What was chosen, and why."""
        if self.degree:
            return (
                f"One motion, a smooth curve of degree {self.degree}, explains images that were held out as well as "
                "any number of separate states."
            )
        if not self.states:
            return f"The images are explained better by one continuous shape, {self.count} nodes, than by a few states."
        if self.count == 1:
            return "No number of states explains images that were held out better than one map does."
        return (
            f"{self.count} separate states explain images that were held out as well as any larger number; a continuum "
            "that noise hides would look the same."
        )


def count_nodes(gram: Tensor, inner: Tensor, start: Tensor, many: int, contrast_sd: float, seed: int) -> NodeCount:
    """Compare 1 to 12 nodes and `many` on compressed images (`nodes.fit_nodes` explains the arguments)."""
    rng = np.random.default_rng([seed, 17])
    rows = torch.as_tensor(rng.permutation(len(start))[:TESTED], device=start.device)
    halves = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    candidates = [m for m in (*range(1, MOST_STATES + 1), many) if m <= len(halves[0]) // 4]
    held_out = {m: _held_out(gram, inner, start, halves, m, contrast_sd, seed) for m in candidates}
    gain = {m: float((each - held_out[1]).mean()) for m, each in held_out.items()}
    if not any(_better(held_out[m], held_out[1], 0.0, ANYTHING_SURE) for m in candidates[1:]):
        return NodeCount(1, True, gain)
    worth, best = WORTH * max(gain.values()), 1
    for m in candidates[1:]:
        if m <= MOST_STATES and _better(held_out[m], held_out[best], (m - best) * worth):
            best = m
    least = CONTINUUM_WORTH * max(gain.values())
    crowded = best >= MOST_STATES or _better(held_out.get(many, held_out[best]), held_out[best], least, CONTINUUM_SURE)
    if many > best and crowded:
        return NodeCount(many, False, gain)
    degree = _degree_of_one_motion(gram, inner, start, halves, held_out, best, contrast_sd)
    return NodeCount(many if degree else best, not degree, gain, degree)


def _degree_of_one_motion(
    gram: Tensor,
    inner: Tensor,
    start: Tensor,
    halves: tuple[Tensor, Tensor],
    held_out: dict[int, Tensor],
    count: int,
    contrast_sd: float,
) -> int:
    """Lowest degree of a curve that explains images that were held out as well as `count` states; 0 where none does.

    A curve of as many free amplitudes as the states have must explain them better, but for an arc: three states on one
    are rarer than a motion along it.
    """
    if count < LEAST_CURVED:
        return 0
    most = count - 1 + MORE_CURVED
    fitted = (fit_curves(gram[half], inner[half], start[half], most, contrast_sd) for half in halves)
    for degree, curves in enumerate(zip(*fitted, strict=True), 1):
        if degree + 1 > count and degree + 1 not in held_out:
            break
        tested = zip(curves, halves[::-1], strict=True)
        of_curve = torch.cat([curve.log_likelihoods(gram[rows], inner[rows]) for curve, rows in tested])
        difference = of_curve - held_out[max(degree + 1, count)]
        error = float(difference.std()) / len(difference) ** 0.5
        easily = degree + 1 < count or degree < LEAST_CURVED
        if float(difference.mean()) > (-NOT_WORSE if easily else SURE) * error:
            return degree
    return 0


def _better(more: Tensor, fewer: Tensor, worth: float, sure: float = SURE) -> bool:
    difference = more - fewer
    return float(difference.mean()) > max(sure * float(difference.std()) / len(difference) ** 0.5, worth)


def _held_out(gram, inner, start, halves, count: int, contrast_sd: float, seed: int) -> Tensor:
    """(n,) log-likelihood of each image under nodes that were fitted to the images of the other half."""
    told = []
    for fitted, tested in (halves, halves[::-1]):
        found = fit_nodes(gram[fitted], inner[fitted], start[fitted], count, ROUNDS, seed, contrast_sd)
        scores = at_nodes(gram[tested], inner[tested], found.nodes, found.contrast_sd).scores
        told.append((scores + found.responsible.population.log()).logsumexp(1))
    return torch.cat(told)
