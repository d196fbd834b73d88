"""Groups of nodes with nothing between them: separate states, each with a motion of its own."""

import numpy as np
import torch
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from torch import Tensor

from ..slicing.place import on_host

APART = 5.0
"""Standard deviations of what one image tells that lie in a gap: it is hardly ever taken for one of the other side."""
OUTLYING = 1.5
"""How much wider a gap is than nine tenths of the steps from node to node."""
LEAST_SHARE = 0.02
"""Of the particles on either side."""


def groups_of_nodes(gram: Tensor, nodes: Tensor, population: Tensor, contrast_sd: float) -> np.ndarray:
    """(M,) group of each node, from 0; all 0 where one shape joins them.

    Parameters
    ----------
    gram : compressed images (N, C, C), whose mean tells how far apart two nodes (M, C) look in one image.
    population : (M,), sums to 1.
    """
    steps = minimum_spanning_tree(on_host(_apart(gram.mean(0), nodes, population, contrast_sd)) + 1e-12).tocoo()
    share = on_host(population)
    widest_first = np.argsort(-steps.data)
    wide = max(APART, OUTLYING * float(np.quantile(steps.data, 0.9))) if len(steps.data) else np.inf
    kept = np.ones(len(steps.data), dtype=bool)
    groups = np.zeros(len(share), dtype=int)
    for step in widest_first[steps.data[widest_first] > wide]:
        kept[step] = False
        parted = _joined(steps, kept)
        if np.bincount(parted, share).min() < LEAST_SHARE:
            kept[step] = True
        else:
            groups = parted
    return groups


def _apart(gram: Tensor, nodes: Tensor, population: Tensor, contrast_sd: float) -> Tensor:
    """(M, M) how far nodes look apart in one image whose contrast is unknown, in standard deviations of its noise."""
    if contrast_sd:
        place = (population[:, None] * nodes).sum(0, keepdim=True)
        mean = place @ gram
        gram = gram - mean.T @ mean / (place @ mean.T + contrast_sd**-2)
    away = nodes[:, None] - nodes
    return torch.einsum("mnc,cd,mnd->mn", away, gram, away).clamp(min=0).sqrt()


def _joined(steps, kept: np.ndarray) -> np.ndarray:
    """(M,) group of each node when only the steps that are kept join them."""
    left = steps.copy()
    left.data = np.where(kept, steps.data, 0.0)
    left.eliminate_zeros()
    return connected_components(left, directed=False)[1]
