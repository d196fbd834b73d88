"""The neural recipes: a decoder and an encoder trained end to end on the images.

"cryodrgn" is the coordinate network (Zhong's thesis, 4.2.1, 4.4.5) with a whitened likelihood; "paper" the
structural basis with eq. 4 and the spectral normalisation of eq. 5 of sparse_fourier_backpropagation. Either decoder
without a latent is a homogeneous reconstruction. Where `poses.inference` names a search, poses are found on the way:
"cryodrgn2" and "bnb" are the coordinate network with one (thesis chapter 5 and section 3.4).
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from ..ab_initio.found_maps import save_maps
from ..config import RunConfig
from ..data.dataset import ParticleDataset
from ..data.loader import BatchLoader
from ..data.tilt_images import find_series
from ..data.tilt_pairs import find_tilt_pairs
from ..data.tilt_series import SeriesDataset, TiltSeries
from ..decoders.atoms import AtomsDecoder
from ..decoders.decoder import Decoder, LossWeight
from ..decoders.decoder_registry import make_decoder
from ..decoders.model_file import save_model
from ..decoders.motion_start import FoundMotion
from ..encoders.encoder import Encoder
from ..encoders.encoder_registry import ENCODERS, make_encoder
from ..encoders.table import LatentTable
from ..imaging.formation import ImageFormation
from ..imaging.noise import NoiseModel, estimate_noise
from ..ranks import Ranks
from ..run import Run
from ..slicing.place import pick_device
from .network_settings import require_consistent, searches
from .objective import VaeObjective
from .optimizers import keep_touched_rows
from .point_sampling import PointSampler
from .pose_preparation import PosePreparation
from .pose_schedule import PoseSchedule
from .pose_search import PoseSearch
from .pose_table import PoseTable
from .precision import autocast, pick_dtype
from .rate_schedule import prior_weight
from .rising_resolution import RisingResolution
from .signal_amplitude import data_statistics
from .trainer import Trainer

HELD_OUT_SHARE = 0.05
LARGEST_HELD_OUT = 1000
FEWEST_TO_HOLD_OUT = 200
"""Smaller sets are trained on whole."""
FOUND_LOG_VARIANCE = -6.0
"""Of latents that another run has found."""


@dataclass(frozen=True)
class VaeFit:
    """A trained model. `z` (N, Z) and `uncertainty` (N,), its root mean posterior variance, in dataset order; None
    without latent.
    """

    decoder: Decoder
    encoder: Encoder | None
    z: np.ndarray | None
    uncertainty: np.ndarray | None


def fit_vae(
    run: Run, config: RunConfig, dataset: ParticleDataset, resume: bool = False, until_epoch: int | None = None
) -> VaeFit:
    """Train the decoder and encoder of `config` on `dataset`; leaves metrics, checkpoints, latents.npz and model.pt in
    `run`.

    Raises
    ------
    ConfigError : settings that contradict each other.
    DataError : no poses, or a loss that is not a number.
    Stopped : a signal came, or `until_epoch` is over; the run can be resumed.
    """
    require_consistent(config)
    schedule = PoseSchedule.of(config.poses) if searches(config) else None
    if schedule is None:
        dataset.require_poses()
    device = pick_device(config.device)
    dtype = pick_dtype(config.training.precision, device)
    torch.manual_seed(config.seed)
    noise = estimate_noise(dataset, config.seed)
    make = partial(make_objective, dataset=dataset, noise=noise, device=device, dtype=dtype)
    objective = make(config)
    source = source_of(dataset, config)
    batch_size, prepare = max(1, config.training.batch_size // source.series.most_images), None
    if schedule is not None:
        config = replace(config, training=replace(config.training, epochs=schedule.epochs))
        prepare = PosePreparation(
            run,
            dataset,
            objective,
            PoseSearch(config, dataset, noise, device, source.series),
            source.series,
            schedule,
            latents=lambda index: _shared_latents(objective, source, device, index)[0] if objective.encoder else None,
            untrained=lambda seed: make(replace(config, seed=seed)),
            config=config,
            batch_size=batch_size,
        )
    training, held_out = _split(source, dataset, config)
    loader = BatchLoader(training, batch_size, seed=config.seed, ranks=Ranks.present())
    if prepare is None and isinstance(objective.decoder, AtomsDecoder):
        prepare = RisingResolution(objective, config, len(loader), dataset.box * dataset.pixel_size_ang)
    trainer = Trainer(
        run,
        objective,
        loader,
        BatchLoader(held_out, batch_size, shuffle=False) if held_out else None,
        config.training,
        beta=partial(prior_weight, config.training, config.z_dim),
        seed=config.seed,
        device=device,
        tables=objective.encoder.sparse_parameters() if objective.encoder else [],
        volumes=_sparse_volumes(objective, config),
        prepare=prepare,
    )
    _say_what_begins(run, config, objective.decoder, f"{training.n:,} particles, {device}, {str(dtype)[6:]}")
    trainer.fit(resume, until_epoch)
    run.note(loader_wait_seconds=round(trainer.loader.wait_seconds, 3))
    return leave(run, config, dataset, source, objective, device)


def _say_what_begins(run: Run, config: RunConfig, decoder: Decoder, where: str) -> None:
    for sentence in decoder.remarks():
        run.log(sentence)
    run.log(f"Training {config.decoder.kind} decoder on {where}.")


def make_objective(
    config: RunConfig, dataset: ParticleDataset, noise: NoiseModel, device: torch.device, dtype: torch.dtype
) -> VaeObjective:
    """The loss of `config` with untrained decoder and encoder, on `device`."""
    lattice = dataset.lattice
    sigma2 = noise.per_coefficient(lattice, np.arange(len(noise.sigma2)))
    statistics = data_statistics(dataset, noise, config.seed)
    decoder = make_decoder(config, dataset.box)
    decoder.compute_dtype = dtype
    decoder.prepare(statistics)
    decoder = decoder.for_training(statistics)
    sampler = None
    if config.training.points < 1:
        expected = torch.from_numpy(statistics.signal[lattice.shells] / np.sqrt(sigma2))
        sampler = PointSampler(expected.to(device), config.training.points)
    by_ctf = decoder.loss_weight is LossWeight.CTF
    # Where every shell counts alike, the constant makes the loss of pure noise about mean CTF².
    precision = np.full_like(sigma2, 1 / sigma2.mean()) if by_ctf else 1 / sigma2
    # Real and imaginary parts each carry half of the noise variance.
    encoder = make_encoder(config, torch.from_numpy(np.sqrt(2 / sigma2.mean(0))), dataset.n)
    if isinstance(decoder, AtomsDecoder) and isinstance(encoder, LatentTable) and config.atoms.start_from:
        found = FoundMotion.of_run(config.atoms.start_from).latents_of(dataset.table, dataset.rows)
        encoder.begin(torch.from_numpy(found), FOUND_LOG_VARIANCE)
    return VaeObjective(
        decoder,
        encoder,
        ImageFormation(lattice, dataset.pixel_size_ang, device),
        torch.from_numpy(precision.astype(np.float32)).to(device),
        ctf_weight=by_ctf,
        sampler=sampler,
        poses=PoseTable(dataset) if searches(config) else None,
        encoder_context=partial(autocast, device, dtype),
    ).to(device)


@torch.no_grad()
def infer_latents(
    objective: VaeObjective, source: SeriesDataset, device: torch.device, index: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean (B, Z) and root mean posterior variance (B,) of the particles `index` (B,); by default of all.

    A network that reads single images of particles with several gives the mean over these.
    """
    objective.eval()
    index = np.arange(source.n) if index is None else index
    means, deviations = [np.empty((0, objective.encoder.z_dim), np.float32)], [np.empty(0, np.float32)]
    for start in range(0, len(index), 256):
        some = index[start : start + 256]
        posterior = objective.posterior(objective.centred(source.batch(some).torch(device)))
        deviation = posterior.log_var.exp().mean(1).sqrt()
        means.append(source.of_particles(posterior.mean.cpu().numpy(), some))
        deviations.append(source.of_particles(deviation.cpu().numpy(), some))
    return np.concatenate(means), np.concatenate(deviations)


def _shared_latents(
    objective: VaeObjective, source: SeriesDataset, device: torch.device, index: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`infer_latents` of particles, by the processes that share the training."""
    ranks = Ranks.present()
    found = infer_latents(objective, source, device, index[ranks.share(len(index))])
    z, uncertainty = (ranks.gathered(torch.from_numpy(values)).numpy() for values in found)
    return z, uncertainty


def leave(
    run: Run,
    config: RunConfig,
    dataset: ParticleDataset,
    source: SeriesDataset,
    objective: VaeObjective,
    device: torch.device,
    epochs: tuple[int, int] | None = None,
) -> VaeFit:
    """Latents and found poses of all particles, and the decoder in the data's grey scale, written to the run.

    `epochs`: done and wanted, where the training has not finished; maps of its poses wait for their last.
    """
    z = uncertainty = None
    if objective.encoder is not None:
        z, uncertainty = _shared_latents(objective, source, device, np.arange(source.n))
        z, uncertainty = source.series.to_images(z), source.series.to_images(uncertainty)
    z_or_none = np.zeros((dataset.n, 0)) if z is None else z
    run.save_latents(z_or_none, uncertainty=uncertainty, rows=dataset.rows, epochs=epochs)
    if objective.poses is not None:
        table = objective.poses.cpu()
        found = table.rotations.numpy(), table.shifts_ang.numpy()
        run.save_poses(dataset.rows, *found, score=table.score.numpy())
        if epochs is None:
            save_maps(run, dataset.with_poses(*found), np.zeros(dataset.n, np.int64), 1, config.seed)
    decoder = objective.decoder.after_training()
    save_model(run.model_file, config, decoder, objective.encoder, dataset.pixel_size_ang)
    return VaeFit(decoder, objective.encoder, z, uncertainty)


def _sparse_volumes(objective: VaeObjective, config: RunConfig) -> list[torch.nn.Parameter]:
    if not config.training.sparse:
        return []
    volumes = objective.decoder.stored_volumes()
    for parameter in volumes:
        keep_touched_rows(parameter)
    return volumes


def source_of(dataset: ParticleDataset, config: RunConfig) -> SeriesDataset:
    """What batches are made of: particles with all their images where the encoder or the search takes them at once."""
    if config.z_dim and ENCODERS[config.encoder.kind].images_per_particle > 1:
        return SeriesDataset(dataset, find_tilt_pairs(dataset))
    series = find_series(dataset) if searches(config) else None
    return SeriesDataset(dataset, series or TiltSeries.singles(dataset.n))


def _split(
    source: SeriesDataset, dataset: ParticleDataset, config: RunConfig
) -> tuple[SeriesDataset, SeriesDataset | None]:
    """Training and held-out particles; nothing is held out of small sets, of pairs, or from a table of latents or
    poses.
    """
    table = config.z_dim > 0 and not ENCODERS[config.encoder.kind].generalizes
    if source.series.most_images > 1 or table or searches(config) or source.n < FEWEST_TO_HOLD_OUT:
        return source, None
    shown = dataset.copies.shown  # copies of an image are held out together, or not at all
    objects = int(shown.max()) + 1
    count = min(round(HELD_OUT_SHARE * objects), LARGEST_HELD_OUT)
    held = np.isin(shown, np.random.default_rng([config.seed, 2]).choice(objects, count, replace=False))
    return source.subset(~held), source.subset(held)
