"""One motion as a smooth curve through amplitude space, to hold against a few separate states.

A polynomial of the place along the motion, all places alike. Of degree d it has as many free amplitudes as d + 1
states, so that where it explains images that were held out as well, images cannot tell it from these.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .nodes import at_nodes, contrasts, responsibilities, ridge_of, sums_at_nodes

PLACES = 40
ROUNDS = 25
"""Of EM at each degree, which starts from the curve of the degree below."""


@dataclass(frozen=True)
class Curve:
    """`nodes` (M, C) along it, each with the same population, and the spread of contrasts beside it."""

    nodes: Tensor
    contrast_sd: float

    def log_likelihoods(self, gram: Tensor, inner: Tensor) -> Tensor:
        """(N,) of compressed images."""
        scores = at_nodes(gram, inner, self.nodes, self.contrast_sd).scores
        return scores.logsumexp(1) - float(np.log(len(self.nodes)))


def fit_curves(gram: Tensor, inner: Tensor, start: Tensor, most: int, contrast_sd: float) -> Iterator[Curve]:
    """The curves of degree 1 to `most` by EM; `nodes.fit_nodes` explains the arguments.

    The first runs along the widest axis of `start`.
    """
    given = 0 if contrast_sd else 1
    nodes, places = _widest(start), np.linspace(-1, 1, PLACES)
    for degree in range(1, most + 1):
        basis = torch.as_tensor(np.polynomial.legendre.legvander(places, degree)).to(start)
        for _ in range(ROUNDS):
            nodes, contrast_sd = _moved(gram, inner, nodes, basis, contrast_sd, given)
        yield Curve(nodes, contrast_sd)


def _moved(
    gram: Tensor, inner: Tensor, nodes: Tensor, basis: Tensor, contrast_sd: float, given: int
) -> tuple[Tensor, float]:
    """The nodes after one round of EM in which only the coefficients of `basis` (M, J) are free."""
    here = at_nodes(gram, inner, nodes, contrast_sd)
    alike = torch.full((len(nodes),), 1 / len(nodes), dtype=nodes.dtype, device=nodes.device)
    responsible = responsibilities(here.scores, alike)
    left, right = sums_at_nodes(gram, inner, responsible, here, given)
    kept, terms = nodes.shape[1] - given, basis.shape[1]
    pairs = basis[:, :, None] * basis[:, None, :]
    matrix = torch.einsum("mjk,mab->jakb", pairs, left).reshape(terms * kept, terms * kept)
    before = torch.linalg.lstsq(basis, nodes[:, given:]).solution
    ridge = ridge_of(gram, len(matrix))
    coefficients = torch.linalg.solve(matrix + ridge, (basis.T @ right).flatten() + ridge @ before.flatten())
    nodes = torch.cat([nodes[:, :given], basis @ coefficients.reshape(terms, kept)], 1)
    if given:
        return nodes, contrast_sd
    # The scale of the curve and that of contrasts are one; contrasts are 1 on average.
    mean, contrast_sd = contrasts(responsible, here)
    return nodes * mean, contrast_sd


def _widest(start: Tensor) -> Tensor:
    """(M, C) nodes on the line along which points (N, K) spread most, as wide as points spread alike on it would be."""
    centre = start.mean(0)
    _, widths, axes = torch.linalg.svd(start - centre, full_matrices=False)
    half = 3**0.5 * widths[0] / len(start) ** 0.5
    along = torch.linspace(-1, 1, PLACES, dtype=start.dtype, device=start.device)[:, None] * half * axes[0]
    return torch.nn.functional.pad(centre + along, (1, 0), value=1.0)
