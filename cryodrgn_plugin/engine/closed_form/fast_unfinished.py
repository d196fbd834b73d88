"""A fast training that has not finished, looked at: latents and maps as its last checkpoint has them.

From the step on where half-sets are apart there is something to see. Until nodes are placed particles lie at the
posterior means of their amplitudes along the directions that stand out from noise; then at the nodes, as at the end.
The maps are solved anew, from one pass over the images, which whoever looks pays for and not the training.
"""

import torch
from torch import Tensor

from ..config import RunConfig
from ..data.dataset import ParticleDataset
from ..errors import DataError
from ..likelihood.equations import Moments, accumulate
from ..likelihood.linear_model import LinearModel, fit_volumes, soft_ball
from ..run import Run
from ..slicing.place import on_host
from ..slicing.sphere import HalfSphere
from .fast_checkpoint import State, load_state
from .fast_recipe import ClosedForm
from .fast_results import Outcome, leave_maps, save_decoders
from .harmonics import harmonics
from .judging_maps import FREEDOM
from .node_images import moments_at_nodes
from .nuisance_report import learned_of_images
from .volume_metric import VolumeMetric


def leave_latest_fast(run: Run, config: RunConfig, dataset: ParticleDataset) -> None:
    """Write what the last checkpoint holds as if the training had ended there, marked with the steps done.

    The training is not touched, and may go on meanwhile. Raises DataError for a checkpoint that cannot be read, and
    where half-sets are not apart yet.
    """
    recipe = ClosedForm(run, config, dataset)
    state = load_state(run, recipe.images.compute, dataset.n)
    if state.done < recipe.shown_from:
        raise DataError(
            f"{run.path} has not finished: it is {run.status} after step {state.done} of {recipe.n_steps}, and has "
            f"latents and maps from step {recipe.shown_from} on; let it go on, or resume it."
        )
    recipe.posed_set.follow(state.nuisances)
    steps = state.done, recipe.n_steps
    if state.places is not None:
        recipe.in_focus.leave(state, steps)
        return None
    if state.directions is not None:
        return _leave_directions(recipe, state, steps)
    features = harmonics(state.responsibilities, config.z_dim).features
    moments = moments_at_nodes(state.responsibilities, features, state.nuisances)
    halves = _maps(recipe, state, moments, recipe.last_radius)
    leave_maps(run, config, dataset, Outcome(state, halves, features), steps)


def _leave_directions(recipe: ClosedForm, state: State, steps: tuple[int, int]) -> None:
    """Particles along the directions, as many of them as the latent space has dimensions."""
    found, count = state.directions, recipe.config.z_dim
    every = _maps(recipe, state, _moments_along(state), recipe.bands[state.done - 1].radius)
    kept = torch.arange(1 + min(found.n_inside, count), device=found.posteriors.mean.device)
    halves = [_of_channels(model.channels(kept), count + 1) for model in every]
    amplitudes = found.posteriors.mean[:, kept[1:] - 1]
    places = torch.nn.functional.pad(amplitudes, (1, count - amplitudes.shape[1]))
    places[:, 0] = 1
    focus = recipe.posed_set.focus
    uniform = torch.full_like(places[:, 0], 1 / len(places))
    metric = VolumeMetric.between(focus.only(halves, 0) if focus else halves, places, uniform)
    recipe.run.save_latents(
        on_host(metric.features(places)[:, 1:]),
        rows=recipe.dataset.rows,
        steps=steps,
        half=state.half,
        **learned_of_images(recipe.dataset, state.nuisances),
    )
    save_decoders(recipe.run, recipe.config, recipe.dataset, [metric.model(model) for model in halves])


def _moments_along(state: State) -> Moments:
    """Moments of the amplitudes along the directions, contrast included."""
    first, second = state.directions.posteriors.moments()
    contrast, square = state.nuisances.contrast, state.nuisances.squared_contrast()

    def moments(index) -> tuple[Tensor, Tensor]:
        rows = torch.as_tensor(index, device=first.device)
        return contrast[rows, None] * first[rows], square[rows, None, None] * second[rows]

    return moments


def _maps(recipe: ClosedForm, state: State, moments: Moments, radius: int) -> list[LinearModel]:
    """The half-sets' maps up to a frequency limit."""
    sphere = HalfSphere(recipe.dataset.box, recipe.config.decoder.padding, radius)
    equations = accumulate(recipe.images, sphere, recipe.images.lattice.count(radius), moments, state.half)
    return fit_volumes(equations, soft_ball(sphere.box), FREEDOM, spent=True)


def _of_channels(model: LinearModel, count: int) -> LinearModel:
    """The model with empty bases behind its own, `count` volumes in all."""
    return LinearModel(model.backend, torch.nn.functional.pad(model.coefs, (0, count - model.coefs.shape[2])))
