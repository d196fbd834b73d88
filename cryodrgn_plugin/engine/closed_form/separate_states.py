"""Separate states of a run: how many images speak for, and how far each image belongs to which."""

import torch
from torch import Tensor

from ..data.dataset import ParticleDataset
from ..data.tilt_series import TiltSeries
from ..run import Run
from ..slicing.place import on_host
from .gaps import groups_of_nodes
from .node_count import count_nodes
from .node_images import NodeImages, one_of_each
from .nodes import fit_nodes

NODE_ROUNDS = 40


def note_states(run: Run, seen: NodeImages, dataset: ParticleDataset, series: TiltSeries, many: int, seed: int) -> None:
    """Note how many separate states images speak for, beside `many` nodes of a continuum, and say so."""
    run.note(states=None, gain_by_nodes={}, states_move=False)
    if not run.info["notes"]["directions"]:
        return
    # None may be held out from another that says the same.
    some = seen.at(torch.as_tensor(one_of_each(dataset, series), device=seen.gram.device))
    chosen = count_nodes(some.gram, some.inner, some.start, many, some.contrast_sd, seed)
    run.note(states=chosen.count if chosen.states else None, gain_by_nodes=chosen.gain)
    run.log(chosen.sentence)


def shares_of_states(run: Run, seen: NodeImages, many: int, seed: int) -> Tensor | None:
    """(N, S) how far images belong to each of the states that were noted, or, where these are one shape of `many`
    nodes, to each of its parts with gaps between; None where there are not two."""
    notes = run.info["notes"]
    # Where this was done before, and the run killed before it kept it, parts of a shape were noted as states.
    counted = None if notes.get("states_move") else notes["states"]
    if not notes["directions"] or counted == 1:
        return None
    found = fit_nodes(seen.gram, seen.inner, seen.start, counted or many, NODE_ROUNDS, seed, seen.contrast_sd)
    shares = found.responsible.shares
    if counted:
        return shares
    groups = groups_of_nodes(seen.gram, found.nodes, found.responsible.population, found.contrast_sd)
    if groups.max() == 0:
        return None
    parts = torch.as_tensor(groups, device=shares.device).long()
    shares = shares @ torch.nn.functional.one_hot(parts, int(groups.max()) + 1).to(shares)
    run.note(states=shares.shape[1], states_move=True)
    run.log(
        f"The shape has {shares.shape[1]} parts with nothing between them: separate states, each with a motion of its "
        f"own, of {', '.join(f'{share:.0%}' for share in on_host(shares.mean(0)))} of the particles."
    )
    return shares
