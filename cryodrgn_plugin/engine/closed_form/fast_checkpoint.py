"""How far the fast recipe is, and its checkpoint: written atomically, loaded with weights_only=True."""

from dataclasses import dataclass
from pickle import UnpicklingError

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError
from ..io.atomic import atomic_path
from ..run import Run
from ..slicing.compute import Compute
from ..slicing.place import on_host
from .em import Amplitudes
from .nodes import Responsibilities


@dataclass(frozen=True)
class State:
    """What a checkpoint keeps: the steps done, and what the next one starts from."""

    done: int
    seconds: float
    half: np.ndarray
    amplitudes: Amplitudes | None
    responsibilities: Responsibilities | None
    apart: Tensor | None
    """(M, M) distances between the blurred maps at the nodes."""


def save_state(run: Run, state: State) -> None:
    """Write the checkpoint of a state; the one before stays, older ones go."""
    content = {"done": state.done, "seconds": state.seconds, "half": torch.from_numpy(state.half)}
    if state.amplitudes is not None:
        content |= {name: getattr(state.amplitudes, name).cpu() for name in ("mean", "covariance")}
    if state.responsibilities is not None:
        content |= {name: getattr(state.responsibilities, name).cpu() for name in ("log_shares", "population")}
        content["apart"] = state.apart.cpu()
    run.checkpoints_dir.mkdir(parents=True, exist_ok=True)
    with atomic_path(run.checkpoint_file(state.done)) as temporary:
        torch.save(content, temporary)
    for old in range(state.done - 1):
        run.checkpoint_file(old).unlink(missing_ok=True)


def load_state(run: Run, compute: Compute) -> State | None:
    """The last state that was written, on the device; None without. Raises DataError when it cannot be read."""
    path = run.latest_checkpoint()
    if path is None:
        return None
    try:
        content = torch.load(path, weights_only=True)
        half = on_host(content.pop("half"))
        tensors = {name: compute.double(value) for name, value in content.items() if isinstance(value, Tensor)}
        amplitudes = responsible = None
        if "mean" in tensors:
            amplitudes = Amplitudes(tensors["mean"], tensors["covariance"])
        if "log_shares" in tensors:
            responsible = Responsibilities(tensors["log_shares"], tensors["population"])
        state = State(content["done"], content["seconds"], half, amplitudes, responsible, tensors.get("apart"))
    except (OSError, RuntimeError, KeyError, EOFError, TypeError, AttributeError, UnpicklingError) as error:
        raise DataError(f"{path} cannot be read as a checkpoint; remove it to resume from the one before.") from error
    run.log(f"Resuming after step {state.done}.")
    return state
