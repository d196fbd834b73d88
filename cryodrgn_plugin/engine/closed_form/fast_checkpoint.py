"""How far the fast recipe is, and its checkpoint: written atomically, loaded with weights_only=True."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..io.reading import understood
from ..io.torch_files import load_torch, save_torch
from ..likelihood.nuisances import Nuisances, Posteriors
from ..run import Run
from ..slicing.compute import Compute
from ..slicing.place import on_host
from .directions import Directions
from .focus_places import AtRegion, FocusPlaces
from .local_parts import LocalParts
from .nodes import Responsibilities


@dataclass(frozen=True)
class State:
    """What a checkpoint keeps: the steps done, and what the next one starts from."""

    done: int
    seconds: float
    half: np.ndarray
    nuisances: Nuisances
    directions: Directions | None
    """Until nodes are placed."""
    responsibilities: Responsibilities | None = None
    """From then on."""
    apart: Tensor | None = None
    """(M, M) distances between the blurred maps at the nodes."""
    states: Tensor | None = None
    """(N, S) how far images belong to each of a few separate states, once they have been told apart."""
    places: FocusPlaces | None = None
    """In a focus all of these, of each of its regions."""
    passed: int = 0
    """Images passed over, an image as often as it was."""


def save_state(run: Run, state: State) -> None:
    """Write the checkpoint of a state; the one before stays, older ones go."""
    content = {"done": state.done, "seconds": state.seconds, "half": torch.from_numpy(state.half)}
    content |= {"passed": state.passed}
    content |= _tensors("nuisances", state.nuisances) | {"contrast_sd": state.nuisances.contrast_sd}
    if state.directions is not None:
        content |= _tensors("posteriors", state.directions.posteriors)
        content |= {"information": state.directions.information.cpu(), "loss": state.directions.loss}
        content |= {"groups": list(state.directions.groups)}
        if state.directions.parts is not None:
            content |= {"parts": torch.from_numpy(state.directions.parts.balls)}
    if state.responsibilities is not None:
        content |= _tensors("responsibilities", state.responsibilities) | {"apart": state.apart.cpu()}
    if state.states is not None:
        content |= {"states": state.states.cpu()}
    if state.places is not None:
        content |= _places_content(state.places)
    run.checkpoints_dir.mkdir(parents=True, exist_ok=True)
    save_torch(run.checkpoint_file(state.done), content)
    for old in range(state.done - 1):
        run.checkpoint_file(old).unlink(missing_ok=True)


def load_state(run: Run, compute: Compute, count: int) -> State | None:
    """The last state that was written, on the device; None without. Raises DataError when it cannot be read, or is not
    of `count` images."""
    path = run.latest_checkpoint()
    if path is None:
        return None
    with understood(f"{path} cannot be read as a checkpoint; remove it to resume from the one before."):
        content = load_torch(path)
        half = on_host(content.pop("half"))
        tensors = {name: compute.double(value) for name, value in content.items() if isinstance(value, Tensor)}
        nuisances = Nuisances(contrast_sd=content["contrast_sd"], **_named("nuisances", tensors))
        directions = responsible = None
        if "information" in tensors:
            posteriors = Posteriors(**_named("posteriors", tensors))
            information, groups = tensors["information"], tuple(content["groups"])
            parts = LocalParts(on_host(content["parts"])) if "parts" in content else None
            directions = Directions(posteriors, nuisances, information, groups, parts, content["loss"])
        if "apart" in tensors:
            responsible = Responsibilities(**_named("responsibilities", tensors))
        state = State(
            content["done"],
            content["seconds"],
            half,
            nuisances,
            directions,
            responsible,
            tensors.get("apart"),
            tensors.get("states"),
            _places(tensors) if "places.first" in tensors else None,
            content.get("passed", 0),
        )
        if not isinstance(state.done, int) or not isinstance(state.seconds, float) or state.half.shape != (count,):
            raise ValueError("of other images")
    return state


def _places_content(places: FocusPlaces) -> dict[str, Tensor]:
    content = _tensors("places", places)
    for number, region in enumerate(places.regions):
        content |= _tensors(f"region{number}", region) | _tensors(f"responsible{number}", region.responsible)
    return content


def _places(tensors: dict[str, Tensor]) -> FocusPlaces:
    regions: list[AtRegion] = []
    while at := _named(f"responsible{len(regions)}", tensors):
        regions.append(AtRegion(Responsibilities(**at), **_named(f"region{len(regions)}", tensors)))
    return FocusPlaces(tuple(regions), **_named("places", tensors))


def _tensors(record: str, values: Any) -> dict[str, Tensor]:
    """The tensors among the fields of a record, by the record's name and theirs."""
    named = ((field.name, getattr(values, field.name)) for field in fields(values))
    return {f"{record}.{name}": value.cpu() for name, value in named if isinstance(value, Tensor)}


def _named(record: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Back from `_tensors`."""
    return {name.split(".")[1]: value for name, value in tensors.items() if name.startswith(record + ".")}
