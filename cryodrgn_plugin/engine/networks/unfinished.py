"""A training of networks that has not finished, looked at: latents and model as its last checkpoint has them."""

from dataclasses import replace

import torch

from ..config import RunConfig
from ..data.dataset import ParticleDataset
from ..imaging.noise import estimate_noise
from ..io.reading import understood
from ..run import Run
from ..slicing.place import pick_device
from . import amortized_recipe, vae_recipe
from .network_checkpoint import load_checkpoint
from .network_settings import searches
from .pose_schedule import PoseSchedule
from .precision import pick_dtype


def leave_latest(run: Run, config: RunConfig, dataset: ParticleDataset) -> None:
    """Write what the last checkpoint holds as if the training had ended there, marked with the epochs done.

    The training is not touched, and may go on meanwhile. Raises DataError without a checkpoint that can be read.
    """
    device = pick_device(config.device)
    noise = estimate_noise(dataset, config.seed)
    dtype = pick_dtype(config.training.precision, device)
    objective = vae_recipe.make_objective(config, dataset, noise, device, dtype)
    done = _restored(run, objective, device)
    wanted = PoseSchedule.of(config.poses).epochs if searches(config) else config.training.epochs
    source = vae_recipe.source_of(dataset, config)
    vae_recipe.leave(run, config, dataset, source, objective, device, epochs=(done, wanted))


def leave_latest_amortized(run: Run, config: RunConfig, dataset: ParticleDataset) -> None:
    """The same of the recipe "ace", with the poses as they are read off: a search around them ends a training only."""
    device = pick_device(config.device)
    noise = estimate_noise(dataset, config.seed)
    objective = amortized_recipe.untrained(config, dataset, noise, device)
    done = _restored(run, objective, device)
    as_read = replace(config, amortized=replace(config.amortized, search=False))
    epochs = (done, config.training.epochs)
    amortized_recipe.leave(run, as_read, dataset, noise, objective, device, epochs=epochs)


def _restored(run: Run, objective: torch.nn.Module, device: torch.device) -> int:
    """Put the parameters of the last checkpoint into `objective`; the epochs done."""
    checkpoint = run.latest_checkpoint()
    state, model, _ = load_checkpoint(checkpoint, device)
    with understood(f"{checkpoint} is of another model; remove it to look at the one before."):
        objective.load_state_dict(model)
    return state.epoch
