"""What the fast recipe leaves in the run folder: latents, what was learned of images, the decoder and those of the
half-sets."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..config import RunConfig, with_settings
from ..data.dataset import ParticleDataset
from ..decoders.decoder import LinearDecoder
from ..decoders.decoder_registry import make_linear_decoder
from ..decoders.model_file import save_model
from ..likelihood.linear_model import LinearModel
from ..reconstruction.adaptive import local_wiener
from ..run import Run
from ..slicing.place import on_host
from .fast_checkpoint import State
from .harmonics import along_the_motion, harmonics, positions
from .nuisance_report import learned_of_images, sentence, sizes
from .volume_metric import VolumeMetric


@dataclass(frozen=True)
class Outcome:
    """The last state, and the half-sets' maps as functions of the coordinates `features` (M, C) of the nodes."""

    state: State
    halves: list[LinearModel]
    features: Tensor
    judged: list[LinearModel] | None = None
    """The parts of these maps that distances are taken between, if not all of them."""


def leave(
    run: Run, config: RunConfig, dataset: ParticleDataset, outcome: Outcome, steps: tuple[int, int] | None = None
) -> tuple[np.ndarray, list[LinearModel]]:
    """Write everything; arguments and results are those of `leave_maps`."""
    made = leave_maps(run, config, dataset, outcome, steps)
    visibility = harmonics(outcome.state.responsibilities, config.z_dim).visibility
    nuisances = outcome.state.nuisances
    run.note(visibility=[round(float(v), 4) for v in on_host(visibility)], **sizes(dataset, nuisances))
    run.log(sentence(dataset, nuisances))
    return made


def leave_maps(
    run: Run, config: RunConfig, dataset: ParticleDataset, outcome: Outcome, steps: tuple[int, int] | None = None
) -> tuple[np.ndarray, list[LinearModel]]:
    """Write latents and decoders; `steps`, done and wanted, mark those of a training that has not finished. The maps go
    from the outcome as they become functions of z.

    Returns
    -------
    z (N, Z) as written, and the half-sets' maps as functions of it.
    """
    state, responsible = outcome.state, outcome.state.responsibilities
    metric = VolumeMetric.between(outcome.judged or outcome.halves, outcome.features, responsible.population)
    features = metric.features(outcome.features)
    coordinate, uncertainty = positions(responsible, along_the_motion(state.apart, responsible.population))
    learned = learned_of_images(dataset, state.nuisances)
    if state.states is not None:
        learned["states"] = on_host(state.states)
    z = on_host(responsible.shares @ features[:, 1:])
    run.save_latents(
        z,
        rows=dataset.rows,
        steps=steps,
        coordinate=on_host(coordinate),
        uncertainty=on_host(uncertainty),
        half=state.half,
        **learned,
    )
    halves = []
    while outcome.halves:
        halves.append(metric.model(outcome.halves.pop(0)))
    save_decoders(run, config, dataset, halves)
    return z, halves


def save_decoders(run: Run, config: RunConfig, dataset: ParticleDataset, halves: list[LinearModel]) -> None:
    """Each half's, and of their maps combined by a Wiener filter."""
    settings, pixel = with_settings(config, decoder={"n_bases": config.z_dim}), dataset.pixel_size_ang
    for number, model in enumerate(halves, start=1):
        decoder = make_linear_decoder(settings, dataset.box)
        decoder.set_coefficients(model.sphere, on_host(model.coefs))
        save_model(run.half_file(number), settings, decoder, None, pixel)
    channels = (slice(first, first + 1) for first in range(halves[0].n_bases + 1))
    pairs = ([on_host(model.backend.volumes(model.coefs[:, :, some])[0]) for model in halves] for some in channels)
    joined: LinearDecoder = make_linear_decoder(settings, dataset.box)
    joined.set_volumes(np.stack([local_wiener(*pair) for pair in pairs]))
    save_model(run.model_file, settings, joined, None, pixel)
