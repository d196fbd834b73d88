"""Separate states of a run: how many images speak for, and how far each image belongs to which."""

import torch
from torch import Tensor

from ..data.dataset import ParticleDataset
from ..data.tilt_series import TiltSeries
from ..run import Run
from .node_count import count_nodes
from .node_images import NodeImages, one_of_each
from .nodes import fit_nodes

NODE_ROUNDS = 40


def note_states(run: Run, seen: NodeImages, dataset: ParticleDataset, series: TiltSeries, many: int, seed: int) -> None:
    """Note how many separate states images speak for, beside `many` nodes of a continuum, and say so."""
    run.note(states=None, gain_by_nodes={})
    if not run.info["notes"]["directions"]:
        return
    # None may be held out from another that says the same.
    some = seen.at(torch.as_tensor(one_of_each(dataset, series), device=seen.gram.device))
    chosen = count_nodes(some.gram, some.inner, some.start, many, some.contrast_sd, seed)
    run.note(states=chosen.count if chosen.states else None, gain_by_nodes=chosen.gain)
    run.log(chosen.sentence)


def shares_of_states(run: Run, seen: NodeImages, seed: int) -> Tensor | None:
    """(N, S) how far images belong to each of the states that were noted, None where there are not two."""
    count = run.info["notes"]["states"] or 0
    if count < 2:
        return None
    found = fit_nodes(seen.gram, seen.inner, seen.start, count, NODE_ROUNDS, seed, seen.contrast_sd)
    return found.responsible.shares
