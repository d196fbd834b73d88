"""What a trained pose network finds: a pose and z for every particle, improved by search where that is wanted."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from ..config import RunConfig
from ..data.batch import Pose
from ..data.dataset import ParticleDataset
from ..data.loader import BatchLoader
from ..decoders.decoder import Decoder
from ..imaging.noise import NoiseModel
from ..likelihood.whitened import WhitenedImages
from ..poses.proposed import ProposedPoses
from ..ranks import Ranks
from ..slicing.compute import Compute
from ..slicing.place import on_host
from .amortized_objective import AmortizedObjective
from .search_volumes import RenderedVolumes

BATCH = 256


@dataclass(frozen=True)
class FoundPoses:
    """Poses and latents of N particles, in dataset order."""

    rotations: np.ndarray
    """(N, 3, 3). Volume to view."""
    shifts_ang: np.ndarray
    """(N, 2). Displacement of the feature."""
    score: np.ndarray
    """(N,). Minus the misfit; the log-likelihood after a search."""
    z: np.ndarray
    """(N, Z) posterior means."""
    uncertainty: np.ndarray | None
    """(N,) root mean posterior variance; None without latent."""


def find_poses(
    objective: AmortizedObjective, config: RunConfig, dataset: ParticleDataset, noise: NoiseModel, device: torch.device
) -> FoundPoses:
    """What the network reads off every particle, searched around where `amortized.search` is on; by all processes that
    share the training.
    """
    read, proposals = read_poses(objective, dataset, device)
    if not config.amortized.search:
        return read
    return search_nearby(read, proposals, config, objective.decoder, dataset, noise)


@torch.no_grad()
def read_poses(
    objective: AmortizedObjective, dataset: ParticleDataset, device: torch.device
) -> tuple[FoundPoses, Pose]:
    """Ask the network about every particle; nothing is random.

    Returns
    -------
    What was read off, and as proposals (N, P, …) the same and, where both are asked, what was read off each image's
    turn by 180°; the first explains the image best.
    """
    objective.eval()
    ranks, rotations, shifts, misfits, means, deviations = Ranks.present(), [], [], [], [], []
    loader = BatchLoader(dataset, max(1, min(BATCH, dataset.n // ranks.count)), shuffle=False)
    own = ranks.share(len(loader))
    for batch in loader.iterate(0, own.start, own.stop):
        estimates, misfit = objective.infer(batch.torch(device))
        rotations.append(torch.stack([estimate.rotations for estimate in estimates], dim=1).cpu())
        shifts.append(torch.stack([estimate.shifts_ang for estimate in estimates], dim=1).cpu())
        misfits.append(misfit.cpu())
        latent = estimates[0].latent
        if latent is not None:
            means.append(latent.mean.cpu())
            deviations.append(latent.log_var.exp().mean(1).sqrt().cpu())

    def of_all(parts: list[torch.Tensor]) -> np.ndarray:
        return ranks.gathered(torch.cat(parts)).numpy()

    proposals = Pose(of_all(rotations), of_all(shifts))
    z = of_all(means) if means else np.zeros((dataset.n, 0), np.float32)
    uncertainty = of_all(deviations) if deviations else None
    rotations_first, shifts_first = proposals.rotations[:, 0], proposals.shifts_ang[:, 0]
    return FoundPoses(rotations_first, shifts_first, -of_all(misfits), z, uncertainty), proposals


def search_nearby(
    read: FoundPoses,
    proposals: Pose,
    config: RunConfig,
    decoder: Decoder,
    dataset: ParticleDataset,
    noise: NoiseModel,
) -> FoundPoses:
    """The same particles with poses searched for around `proposals` (N, P, …), against maps of `decoder`."""
    lattice, poses, compute, ranks = dataset.lattice, config.poses, Compute.chosen(config), Ranks.present()
    radius = min(poses.last_radius, dataset.box // 2 - 1)
    volumes = RenderedVolumes(
        decoder.cpu(),
        read.z if config.z_dim else None,
        dataset.n,
        max(poses.volumes, 1),
        lattice,
        dataset.box * dataset.pixel_size_ang,
        config.decoder.padding,
        radius,
        config.seed,
        compute,
        ranks,
    )
    search = ProposedPoses(proposals, poses, dataset.box, dataset.pixel_size_ang)
    images = WhitenedImages(dataset.without_poses(), noise, compute=compute)
    rotations, shifts, scores = np.zeros((dataset.n, 3, 3)), np.zeros((dataset.n, 2)), np.zeros(dataset.n)
    for number in np.unique(volumes.volume):
        members = np.flatnonzero(volumes.volume == number)
        members = members[ranks.share(len(members))]
        for start in range(0, len(members), search.images_at_once()):
            rows = members[start : start + search.images_at_once()]
            score = volumes.score(images.of(rows, lattice.count(radius)), rows)
            best = search.at(rows).infer(score)
            rotations[rows], shifts[rows] = on_host(best.rotations[:, 0]), on_host(best.shifts_ang[:, 0])
            scores[rows] = on_host(best.score[:, 0])
    ranks.total(*map(torch.from_numpy, (rotations, shifts, scores)))
    return replace(read, rotations=rotations, shifts_ang=shifts, score=scores)
