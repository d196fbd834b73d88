"""What a trained pose network leaves: a pose and z for every particle, improved by search where that is wanted."""

from dataclasses import dataclass

import numpy as np
import torch

from ..config import RunConfig
from ..data.batch import Pose
from ..data.dataset import ParticleDataset
from ..data.loader import BatchLoader
from ..imaging.noise import NoiseModel
from ..poses.amortized import ProposedPoses
from .amortized_objective import AmortizedObjective
from .search_volumes import RenderedVolumes
from .whitened import WhitenedImages


@dataclass(frozen=True)
class FoundPoses:
    """Poses and latents of N particles, in dataset order."""

    proposals: Pose
    """(N, P, …). What the network read off each image, and where it was asked both ways, off its turn by 180°; the
    first explains the image best."""
    score: np.ndarray
    """(N,). Minus the misfit of the first."""
    z: np.ndarray
    """(N, Z) posterior means."""
    uncertainty: np.ndarray | None
    """(N,) root mean posterior variance; None without latent."""


@torch.no_grad()
def read_poses(objective: AmortizedObjective, dataset: ParticleDataset, device: torch.device) -> FoundPoses:
    """Ask the network about every particle; nothing is random."""
    objective.eval()
    rotations, shifts, misfits, means, deviations = [], [], [], [], []
    for batch in BatchLoader(dataset, 256, shuffle=False).iterate(0):
        estimates, misfit = objective.infer(batch.torch(device))
        rotations.append(torch.stack([each.rotations for each in estimates], dim=1).cpu().numpy())
        shifts.append(torch.stack([each.shifts_ang for each in estimates], dim=1).cpu().numpy())
        misfits.append(misfit.cpu().numpy())
        latent = estimates[0].latent
        if latent is not None:
            means.append(latent.mean.cpu().numpy())
            deviations.append(latent.log_var.exp().mean(1).sqrt().cpu().numpy())
    proposals = Pose(np.concatenate(rotations), np.concatenate(shifts))
    z = np.concatenate(means) if means else np.zeros((dataset.n, 0), np.float32)
    return FoundPoses(proposals, -np.concatenate(misfits), z, np.concatenate(deviations) if deviations else None)


def search_nearby(
    found: FoundPoses, config: RunConfig, objective: AmortizedObjective, dataset: ParticleDataset, noise: NoiseModel
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Poses searched for around those the network proposed, against maps of the run's own decoder.

    Returns
    -------
    Rotations (N, 3, 3), shifts (N, 2) in Å and log-likelihoods (N,).
    """
    lattice, poses = dataset.lattice, config.poses
    radius = min(poses.last_radius, dataset.box // 2 - 1)
    volumes = RenderedVolumes(
        objective.decoder.cpu(),
        found.z if config.z_dim else None,
        dataset.n,
        max(poses.volumes, 1),
        lattice,
        dataset.box * dataset.pixel_size_ang,
        config.decoder.padding,
        radius,
        config.seed,
    )
    search = ProposedPoses(found.proposals, poses, dataset.box, dataset.pixel_size_ang)
    images = WhitenedImages(dataset.without_poses(), noise)
    rotations, shifts, scores = np.empty((dataset.n, 3, 3)), np.empty((dataset.n, 2)), np.empty(dataset.n)
    for number in np.unique(volumes.volume):
        members = np.flatnonzero(volumes.volume == number)
        for start in range(0, len(members), search.images_at_once()):
            places = members[start : start + search.images_at_once()]
            score = volumes.score(images.of(places, lattice.count(radius)), places)
            best = search.at(places).infer(score)
            rotations[places], shifts[places] = best.rotations[:, 0], best.shifts_ang[:, 0]
            scores[places] = best.score[:, 0]
    return rotations, shifts, scores
