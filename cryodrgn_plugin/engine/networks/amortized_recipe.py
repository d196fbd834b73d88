"""The recipe "ace": a decoder, and an encoder that reads pose and z off the image, trained together (ace_hetem).

The trainer is the one of the other networks. `amortized.method` also names two baselines of Zhong's thesis, 5.6.3
on the same footing: an encoder with a distribution of rotations, and free rotations moved by gradient.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ..config import RunConfig
from ..data.dataset import ParticleDataset
from ..data.loader import BatchLoader
from ..decoders.decoder import Decoder
from ..decoders.decoder_registry import make_decoder
from ..decoders.model_file import load_model, save_model
from ..encoders.pose_baselines import FreePoses, PoseVae
from ..encoders.pose_estimate import PoseEncoder
from ..encoders.pose_network import PoseNetwork
from ..errors import ConfigError, DataError
from ..imaging.formation import ImageFormation
from ..imaging.noise import NoiseModel, estimate_noise
from ..imaging.preprocess import soft_window
from ..ranks import Ranks
from ..run import Run
from ..slicing.place import pick_device
from .amortized_objective import AmortizedObjective
from .amortized_poses import find_poses
from .precision import autocast, pick_dtype
from .signal_amplitude import data_statistics
from .synthetic_noise import SyntheticNoise
from .trainer import Trainer

VOLUME_RATE = 10.0
"""How much larger the steps of stored volumes are than those of the networks; in a trial the loss fell several times
faster than at the same rate."""
SAMPLE = 1000
"""Images whose power is measured."""


def fit_amortized(
    run: Run, config: RunConfig, dataset: ParticleDataset, resume: bool = False, until_epoch: int | None = None
) -> AmortizedObjective:
    """Find poses, z and the decoder of `config` from `dataset`, whose own poses are not looked at.

    Leaves poses.star, latents.npz, model.pt, metrics.csv and checkpoints in `run`.

    Raises
    ------
    ConfigError : settings that contradict each other.
    DataError : optics groups of different extents, or a loss that is not a number.
    Stopped : a signal came, or `until_epoch` is over; the run can be resumed.
    """
    _require_consistent(config, dataset)
    device = pick_device(config.device)
    torch.manual_seed(config.seed)
    noise = estimate_noise(dataset, config.seed)
    objective = untrained(config, dataset, noise, device)
    trainer = Trainer(
        run,
        objective,
        _loader(config, dataset),
        None,
        config.training,
        beta=lambda epochs_done: config.amortized.kl_weight,
        seed=config.seed,
        device=device,
        tables=objective.encoder.sparse_parameters(),
        volumes=[],
    )
    run.log(f"Reading poses off {dataset.n:,} particles, {config.decoder.kind} decoder, {device}.")
    trainer.fit(resume, until_epoch)
    if config.amortized.search:
        run.log("Searching around the poses that are read off.")
    leave(run, config, dataset, noise, objective, device)
    return objective


def untrained(
    config: RunConfig, dataset: ParticleDataset, noise: NoiseModel, device: torch.device
) -> AmortizedObjective:
    """The loss of `config` before the first step, on `device`."""
    decoder = _make_decoder(config, dataset, noise, device)
    encoder = make_pose_encoder(config, dataset)
    return make_amortized_objective(config, dataset, noise, device, decoder, encoder)


def make_amortized_objective(
    config: RunConfig,
    dataset: ParticleDataset,
    noise: NoiseModel,
    device: torch.device,
    decoder: Decoder,
    encoder: PoseEncoder,
) -> AmortizedObjective:
    """The loss of a decoder and an encoder on the images of `dataset`, on `device`."""
    lattice = dataset.lattice
    sigma2 = noise.per_coefficient(lattice, np.arange(len(noise.sigma2)))
    power = mean_power(dataset, config.seed)
    # Views of the model are windowed by the encoder, which takes the noise down to what it is in the images.
    passed = np.square(soft_window(dataset.box, config.data.window)).mean()
    shown = sigma2 / passed if dataset.has_noise else np.zeros_like(sigma2)
    multiplicity = torch.from_numpy(lattice.multiplicity).to(device)
    return AmortizedObjective(
        decoder,
        encoder,
        ImageFormation(lattice, dataset.pixel_size_ang, device),
        unit_weights(sigma2, power, lattice.multiplicity).to(device),
        SyntheticNoise.of_data(
            torch.from_numpy(shown).to(device), float(np.average(power, weights=lattice.multiplicity)), multiplicity
        ),
        config.amortized,
        _extent_ang(config, dataset),
        config.z_dim,
        encoder_context=partial(autocast, device, pick_dtype(config.training.precision, device)),
    ).to(device)


def unit_weights(sigma2: np.ndarray, power: np.ndarray, multiplicity: np.ndarray) -> Tensor:
    """(G, F) weights m/σ², scaled so that images of mean `power` (F,) have a weighted power of one in each group."""
    weights = multiplicity / sigma2
    return torch.from_numpy((weights / (weights @ power)[:, None]).astype(np.float32))


def mean_power(dataset: ParticleDataset, seed: int) -> np.ndarray:
    """(F,) mean power of each coefficient over a sample of the images."""
    chosen = np.random.default_rng([seed, 3]).permutation(dataset.n)[:SAMPLE]
    spectra = dataset.batch(np.sort(chosen)).spectra
    return (np.abs(spectra) ** 2).mean(0).astype(np.float64)


def _make_decoder(config: RunConfig, dataset: ParticleDataset, noise: NoiseModel, device: torch.device) -> Decoder:
    decoder = make_decoder(config, dataset.box)
    decoder.compute_dtype = pick_dtype(config.training.precision, device)
    statistics = data_statistics(dataset, noise, config.seed)
    decoder.prepare(statistics)
    if config.amortized.start_from:
        _take_over(decoder, config)
    return decoder.for_training(replace(statistics, spectrum=VOLUME_RATE * statistics.spectrum))


def _take_over(decoder: Decoder, config: RunConfig) -> None:
    """Start `decoder` as the one of another run. Raises ConfigError where they do not fit each other."""
    folder = config.amortized.start_from
    stored = load_model(Run.open(folder).model_file).decoder
    try:
        decoder.load_state_dict(stored.state_dict())
    except RuntimeError:
        raise ConfigError(
            f"amortized.start_from is {folder}, whose decoder has other settings or another box ({stored.box}); give "
            "this run the same decoder settings, z_dim and data.box."
        ) from None


def make_pose_encoder(config: RunConfig, dataset: ParticleDataset) -> PoseEncoder:
    """The untrained encoder of `config` for images like those of `dataset`."""
    method = config.amortized.method
    if method == "descent":
        return FreePoses(dataset.n, config.seed)
    if method == "vae":
        power = mean_power(dataset, config.seed)
        return PoseVae(config.encoder, torch.from_numpy(np.sqrt(2 / np.maximum(power, 1e-6 * power.max()))))
    unit_ang = _extent_ang(config, dataset) or dataset.pixel_size_ang
    width = config.amortized.trunk_width
    return PoseNetwork(config.encoder, dataset.lattice, config.data.window, width, unit_ang, config.z_dim)


def _extent_ang(config: RunConfig, dataset: ParticleDataset) -> float:
    """Largest shift along each axis."""
    return config.poses.shift_extent * dataset.box * dataset.pixel_size_ang


def leave(
    run: Run,
    config: RunConfig,
    dataset: ParticleDataset,
    noise: NoiseModel,
    objective: AmortizedObjective,
    device: torch.device,
    epochs: tuple[int, int] | None = None,
) -> None:
    """Poses and latents of all particles, and the networks with maps in the grey scale of the data, into the run.

    `epochs`: done and wanted, where the training has not finished.
    """
    poses = find_poses(objective, config, dataset, noise, device)
    run.save_latents(poses.z, uncertainty=poses.uncertainty, rows=dataset.rows, epochs=epochs)
    run.save_poses(dataset.rows, poses.rotations, poses.shifts_ang, score=poses.score)
    decoder = objective.decoder.after_training()
    save_model(run.model_file, config, decoder, objective.encoder, dataset.pixel_size_ang)


def _loader(config: RunConfig, dataset: ParticleDataset) -> BatchLoader:
    """A last batch of few images spoils batch normalisation; it is left out where there are others, and so is one that
    leaves a process without work.
    """
    size, ranks = config.training.batch_size, Ranks.present()
    few = config.amortized.method == "network" or 0 < dataset.n % size < ranks.count
    return BatchLoader(dataset, size, seed=config.seed, drop_last=few and dataset.n > size, ranks=ranks)


def _require_consistent(config: RunConfig, dataset: ParticleDataset) -> None:
    if np.ptp(dataset.frequency_ratio) > 0:
        raise DataError(
            f"{dataset.table.path}: the optics groups differ in image extent, and the recipe ace looks at pixels of "
            "one size only; bring the groups to one box and pixel size, or use the recipe abinitio."
        )
    if config.amortized.method != "network" and config.z_dim:
        raise ConfigError(
            f"amortized.method is {config.amortized.method}, which finds one rigid map; set z_dim to 0 and, with "
            "decoder.kind = basis, decoder.n_bases to 0."
        )
    if config.ab_initio.species != 1:
        raise ConfigError(
            f"ab_initio.species is {config.ab_initio.species}; the recipe ace tells kinds of molecule apart by z "
            "alone. Set it to 1, or use the recipe abinitio."
        )
    if config.training.points < 1 or config.training.sparse or config.training.early_stop:
        raise ConfigError(
            "The recipe ace uses all points of every image and dense gradients to the last epoch; leave "
            "training.points at 1, training.sparse off and training.early_stop at 0."
        )
