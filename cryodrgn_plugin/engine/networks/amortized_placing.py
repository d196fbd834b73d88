"""New images placed by the pose network of a finished run, without training."""

import torch

from ..data.dataset import ParticleDataset
from ..decoders.model_file import StoredModel, load_model
from ..errors import ConfigError, DataError
from ..imaging.noise import estimate_noise
from ..run import Run
from ..slicing.place import pick_device
from .amortized_poses import FoundPoses, find_poses
from .amortized_recipe import make_amortized_objective, make_pose_encoder

PIXEL_TOLERANCE = 1e-3
"""Pixel sizes may differ by this share."""


def place(run: Run, dataset: ParticleDataset) -> FoundPoses:
    """Poses and z of images that a run of the recipe ace has not seen; they are in the frame of the run's map.

    Raises
    ------
    ConfigError : the run has no network that reads poses.
    DataError : images of another box or pixel size than the network knows, or a run that has not finished.
    """
    stored = load_model(run.model_file)
    _require_same_images(run, stored, dataset)
    config, device = stored.config, pick_device(stored.config.device)
    noise = estimate_noise(dataset, config.seed)
    encoder = make_pose_encoder(config, dataset)
    encoder.load_state_dict(stored.encoder_state)
    objective = make_amortized_objective(config, dataset, noise, device, stored.decoder, encoder)
    with torch.no_grad():
        return find_poses(objective, config, dataset, noise, device)


def _require_same_images(run: Run, stored: StoredModel, dataset: ParticleDataset) -> None:
    config = stored.config
    if config.recipe != "ace" or config.amortized.method == "descent":
        raise ConfigError(
            f"{run.path} has no network that reads poses off images; only the recipe ace trains one (amortized.method "
            "network)."
        )
    ratio = dataset.pixel_size_ang / stored.pixel_size_ang
    if dataset.box != stored.decoder.box or abs(ratio - 1) > PIXEL_TOLERANCE:
        raise DataError(
            f"{dataset.table.path}: its images are {dataset.box} px of {dataset.pixel_size_ang:.4g} Å, and the network "
            f"of {run.path} reads {stored.decoder.box} px of {stored.pixel_size_ang:.4g} Å; scale them to that first."
        )
